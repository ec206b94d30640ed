// Prints how Kubernetes' Go types are encoded, by their struct tags: JSON names, numbers in protobuf, what is left out when empty.
// Arguments are kinds as group/version/Kind (the core group is empty); what they refer to is printed with them. See ../kubernetes_structures.py.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"reflect"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	storagev1 "k8s.io/api/storage/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
)

var known = map[reflect.Type]string{
	reflect.TypeFor[resource.Quantity]():                            "quantity",
	reflect.TypeFor[intstr.IntOrString]():                           "intOrString",
	reflect.TypeFor[metav1.Time]():                                  "time",
	reflect.TypeFor[metav1.MicroTime]():                             "microTime",
	reflect.TypeFor[metav1.Duration]():                              "duration",
	reflect.TypeFor[metav1.FieldsV1]():                              "raw",
	reflect.TypeFor[runtime.RawExtension]():                         "raw",
	reflect.TypeFor[apiextensionsv1.JSON]():                         "raw",
	reflect.TypeFor[apiextensionsv1.JSONSchemaPropsOrArray]():       "schemaOrArray",
	reflect.TypeFor[apiextensionsv1.JSONSchemaPropsOrBool]():        "schemaOrBool",
	reflect.TypeFor[apiextensionsv1.JSONSchemaPropsOrStringArray](): "schemaOrTexts",
	reflect.TypeFor[authorizationv1.ExtraValue]():                   "items",
	reflect.TypeFor[authenticationv1.ExtraValue]():                  "items",
}

// A field: JSON name, number in protobuf (0: none), type, and of "e" (omitempty), "z" (omitzero), "p" (a pointer: zero is not empty),
// "i" (inlined in JSON).
type field [4]any

var found = map[string][]field{}

func name(t reflect.Type) string {
	path := strings.Split(t.PkgPath(), "/")
	return "io." + strings.Join(append(reverse(path[0]), path[1:]...), ".") + "." + t.Name()
}

func reverse(domain string) []string {
	return []string{strings.TrimSuffix(domain, ".io")}
}

func kind(t reflect.Type) string {
	if special, ok := known[t]; ok {
		return special
	}
	switch t.Kind() {
	case reflect.Pointer:
		return kind(t.Elem())
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return "bytes"
		}
		return "[]" + kind(t.Elem())
	case reflect.Map:
		return "{}" + kind(t.Elem())
	case reflect.Struct:
		walk(t)
		return name(t)
	case reflect.String, reflect.Bool, reflect.Int32, reflect.Int64, reflect.Float64:
		return t.Kind().String()
	}
	log.Fatalf("%v is not known", t)
	return ""
}

func walk(t reflect.Type) {
	if _, seen := found[name(t)]; seen {
		return
	}
	found[name(t)] = []field{}
	for i := range t.NumField() {
		one := t.Field(i)
		tag := strings.Split(one.Tag.Get("json"), ",")
		if tag[0] == "-" {
			continue
		}
		number := 0
		if wire := strings.Split(one.Tag.Get("protobuf"), ","); len(wire) > 1 {
			number, _ = strconv.Atoi(wire[1])
		}
		flags := ""
		for _, option := range tag[1:] {
			if option == "omitempty" || option == "omitzero" {
				flags += option[4:5]
			}
		}
		if one.Type.Kind() == reflect.Pointer {
			flags += "p"
		}
		if tag[0] == "" {
			flags += "i"
		}
		found[name(t)] = append(found[name(t)], field{tag[0], number, kind(one.Type), flags})
	}
}

func main() {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		appsv1.AddToScheme, authenticationv1.AddToScheme, authorizationv1.AddToScheme, autoscalingv1.AddToScheme, coordinationv1.AddToScheme,
		corev1.AddToScheme, policyv1.AddToScheme, rbacv1.AddToScheme, storagev1.AddToScheme, apiextensionsv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			log.Fatal(err)
		}
	}
	examples := len(os.Args) > 1 && os.Args[1] == "-examples"
	kinds := map[string]string{}
	var asked []schema.GroupVersionKind
	for _, name := range os.Args[1:] {
		parts := strings.Split(name, "/")
		if len(parts) != 3 {
			continue
		}
		asked = append(asked, schema.GroupVersionKind{Group: parts[0], Version: parts[1], Kind: parts[2]})
		object, err := scheme.New(asked[len(asked)-1])
		if err != nil {
			log.Fatal(err)
		}
		kinds[name] = kind(reflect.TypeOf(object))
	}
	if examples {
		printExamples(scheme, asked)
		return
	}
	text, err := json.Marshal(map[string]any{"kinds": kinds, "types": found})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(text))
}
