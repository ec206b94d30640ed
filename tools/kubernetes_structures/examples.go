package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log"
	"reflect"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/util/intstr"
)

const deepest = 14

var counted int

// Sets every field that can be set, each to a value of its own.
func fill(v reflect.Value, depth int) {
	counted++
	switch held := v.Addr().Interface().(type) {
	case *resource.Quantity:
		*held = *resource.NewMilliQuantity(int64(counted)*100+50, resource.DecimalSI)
		return
	case *intstr.IntOrString:
		*held = intstr.FromInt32(int32(counted))
		if counted%2 == 0 {
			*held = intstr.FromString(fmt.Sprintf("t%d", counted))
		}
		return
	case *metav1.Time:
		*held = metav1.NewTime(time.Unix(1700000000+int64(counted), 0).UTC())
		return
	case *metav1.MicroTime:
		*held = metav1.NewMicroTime(time.Unix(1700000000, 123456000).UTC())
		return
	case *metav1.FieldsV1:
		held.Raw = []byte(`{"f:a":{}}`)
		return
	case *runtime.RawExtension:
		held.Raw = []byte(`{"a":[1,"b"]}`)
		return
	case *apiextensionsv1.JSON:
		held.Raw = []byte(`{"a":[1,"b"]}`)
		return
	case *apiextensionsv1.JSONSchemaPropsOrBool:
		held.Allows = true
		if counted%2 == 0 && depth < deepest {
			held.Schema = &apiextensionsv1.JSONSchemaProps{Type: "string"}
		}
		return
	case *apiextensionsv1.JSONSchemaPropsOrArray:
		held.Schema = &apiextensionsv1.JSONSchemaProps{Type: "string"}
		return
	}
	if depth > deepest {
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.Type().Elem() == reflect.TypeFor[apiextensionsv1.JSONSchemaProps]() && depth > 8 {
			return
		}
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), depth+1)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).Type != reflect.TypeFor[metav1.TypeMeta]() {
				fill(v.Field(i), depth+1)
			}
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes([]byte{0xff, 0, byte(counted)})
			return
		}
		length := 1
		if v.Type().Elem().Kind() != reflect.Struct {
			length = 2
		} else if v.Type().Elem() == reflect.TypeFor[apiextensionsv1.JSONSchemaProps]() && depth > 6 {
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), length, length))
		for i := range length {
			fill(v.Index(i), depth+1)
		}
	case reflect.Map:
		if v.Type().Elem() == reflect.TypeFor[apiextensionsv1.JSONSchemaProps]() && depth > 6 {
			return
		}
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		key.SetString(fmt.Sprintf("k%d", counted))
		fill(value, depth+1)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.String:
		v.SetString(fmt.Sprintf("s%d", counted))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32, reflect.Int64:
		v.SetInt(int64(counted))
		if counted%7 == 0 {
			v.SetInt(-int64(counted))
		}
	case reflect.Float64:
		v.SetFloat(float64(counted) + 0.5)
	}
}

// Prints an object of each kind with everything set, in JSON and in protobuf as client-go sends it.
func printExamples(scheme *runtime.Scheme, asked []schema.GroupVersionKind) {
	serializer := protobuf.NewSerializer(scheme, scheme)
	examples := map[string]map[string]any{}
	for _, kind := range asked {
		object, err := scheme.New(kind)
		if err != nil {
			log.Fatal(err)
		}
		fill(reflect.ValueOf(object).Elem(), 0)
		object.GetObjectKind().SetGroupVersionKind(kind)
		wire, err := runtime.Encode(serializer, object)
		if err != nil {
			log.Fatal(err)
		}
		text, err := json.Marshal(object)
		if err != nil {
			log.Fatal(err)
		}
		name := kind.Group + "/" + kind.Version + "/" + kind.Kind
		examples[name] = map[string]any{"protobuf": base64.StdEncoding.EncodeToString(wire), "json": json.RawMessage(text)}
	}
	text, err := json.Marshal(examples)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(text))
}
