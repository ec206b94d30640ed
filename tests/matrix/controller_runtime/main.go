// An operator with controller-runtime. It writes built-in kinds in protobuf, reads them from a cache,
// holds a lease for leader election, and records events. It prints a line of JSON about each step, as
// scenario_steps.py does; $MATRIX_TARGET names the cluster and namespace.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/config"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

const limit = 30 * time.Second

type operator struct {
	client.Client
	scheme *runtime.Scheme
}

// Each ConfigMap with the label gets a StatefulSet of its own, with as many replicas as it says.
func (o *operator) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var asked corev1.ConfigMap
	if err := o.Get(ctx, request.NamespacedName, &asked); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if asked.Labels["matrix"] != "set" {
		return ctrl.Result{}, nil
	}
	set := statefulSet(asked.Namespace, asked.Name)
	_, err := controllerutil.CreateOrUpdate(ctx, o.Client, set, func() error {
		if set.Annotations == nil {
			set.Annotations = map[string]string{}
		}
		set.Annotations["matrix/said"] = asked.Data["says"]
		return controllerutil.SetControllerReference(&asked, set, o.scheme)
	})
	return ctrl.Result{}, err
}

func statefulSet(namespace, name string) *appsv1.StatefulSet {
	labels, none := map[string]string{"app": name}, int32(0)
	return &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: appsv1.StatefulSetSpec{
			Replicas:    &none,
			ServiceName: name,
			Selector:    &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{Containers: []corev1.Container{{
					Name:  "main",
					Image: "lab",
					Resources: corev1.ResourceRequirements{
						Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")},
					},
				}}},
			},
		},
	}
}

func built(namespace string) []client.Object {
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: namespace, Name: name} }
	return []client.Object{
		&corev1.ServiceAccount{ObjectMeta: meta("cr-account")},
		&corev1.Secret{ObjectMeta: meta("cr-secret"), Data: map[string][]byte{"key": {0xff, 0}}},
		&corev1.Service{ObjectMeta: meta("cr-service"), Spec: corev1.ServiceSpec{ClusterIP: "None", Ports: []corev1.ServicePort{{Port: 80}}}},
		&corev1.PersistentVolumeClaim{ObjectMeta: meta("cr-claim"), Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
		}},
		&rbacv1.RoleBinding{
			ObjectMeta: meta("cr-binding"),
			Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Name: "cr-account", Namespace: namespace}},
			RoleRef:    rbacv1.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "ClusterRole", Name: "view"},
		},
		statefulSet(namespace, "cr-set"),
	}
}

func until(what string, holds func() (bool, error)) error {
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if done, err := holds(); err != nil || done {
			return err
		}
	}
	return fmt.Errorf("%s did not come about within %s", what, limit)
}

func main() {
	log.SetLogger(zap.New())
	var target struct {
		Namespace string `json:"namespace"`
	}
	if err := json.Unmarshal([]byte(os.Getenv("MATRIX_TARGET")), &target); err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	namespace, failed := target.Namespace, false
	step := func(name string, do func() error) {
		began, failure := time.Now(), ""
		if err := do(); err != nil {
			failure, failed = err.Error(), true
		}
		line, _ := json.Marshal(map[string]any{"step": name, "failure": failure, "seconds": time.Since(began).Seconds()})
		fmt.Println(string(line))
	}
	var manager ctrl.Manager
	var direct client.Client
	done := make(chan error, 1)
	step("a manager leads and its cache fills", func() error {
		var err error
		manager, err = ctrl.NewManager(config.GetConfigOrDie(), ctrl.Options{
			Scheme:                  clientgoscheme.Scheme,
			LeaderElection:          true,
			LeaderElectionID:        "matrix-controller-runtime",
			LeaderElectionNamespace: namespace,
			Metrics:                 server.Options{BindAddress: "0"},
			Cache:                   cache.Options{DefaultNamespaces: map[string]cache.Config{namespace: {}}},
		})
		if err != nil {
			return err
		}
		if direct, err = client.New(manager.GetConfig(), client.Options{Scheme: manager.GetScheme()}); err != nil {
			return err
		}
		if err := client.IgnoreAlreadyExists(direct.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})); err != nil {
			return err
		}
		taken := &operator{manager.GetClient(), manager.GetScheme()}
		if err := ctrl.NewControllerManagedBy(manager).For(&corev1.ConfigMap{}).Owns(&appsv1.StatefulSet{}).Complete(taken); err != nil {
			return err
		}
		go func() { done <- manager.Start(ctx) }()
		select {
		case <-manager.Elected():
		case err := <-done:
			return errors.Join(errors.New("the manager ended"), err)
		case <-time.After(limit):
			return errors.New("it does not lead")
		}
		if !manager.GetCache().WaitForCacheSync(ctx) {
			return errors.New("its cache does not fill")
		}
		return nil
	})
	step("built-in kinds are created in protobuf", func() error {
		for _, object := range built(namespace) {
			if err := direct.Create(ctx, object); err != nil {
				return err
			}
		}
		var claim corev1.PersistentVolumeClaim
		if err := direct.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "cr-claim"}, &claim); err != nil {
			return err
		}
		if asked := claim.Spec.Resources.Requests.Storage().String(); asked != "1Gi" {
			return fmt.Errorf("the claim asks for %s", asked)
		}
		return nil
	})
	step("a change that it watches is reconciled", func() error {
		asked := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "cr-asked", Labels: map[string]string{"matrix": "set"}}}
		asked.Data = map[string]string{"says": "one"}
		if err := direct.Create(ctx, asked); err != nil {
			return err
		}
		said := func(wanted string) func() (bool, error) {
			return func() (bool, error) {
				var set appsv1.StatefulSet
				err := direct.Get(ctx, client.ObjectKeyFromObject(asked), &set)
				return set.Annotations["matrix/said"] == wanted && metav1.IsControlledBy(&set, asked), client.IgnoreNotFound(err)
			}
		}
		if err := until("its StatefulSet", said("one")); err != nil {
			return err
		}
		before := asked.DeepCopy()
		asked.Data["says"] = "two"
		if err := direct.Patch(ctx, asked, client.MergeFrom(before)); err != nil {
			return err
		}
		return until("the change", said("two"))
	})
	step("updates, of the status too", func() error {
		var set appsv1.StatefulSet
		if err := direct.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "cr-set"}, &set); err != nil {
			return err
		}
		set.Labels = map[string]string{"a": "b"}
		if err := direct.Update(ctx, &set); err != nil {
			return err
		}
		set.Status.Conditions = []appsv1.StatefulSetCondition{{Type: "Matrix", Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()}}
		if err := direct.Status().Update(ctx, &set); err != nil {
			return err
		}
		stale := set.DeepCopy()
		stale.ResourceVersion = "1"
		if err := direct.Update(ctx, stale); !apierrors.IsConflict(err) {
			return fmt.Errorf("a stale write answers %w", err)
		}
		return nil
	})
	step("events are told", func() error {
		var set appsv1.StatefulSet
		if err := direct.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "cr-set"}, &set); err != nil {
			return err
		}
		manager.GetEventRecorderFor("matrix").Event(&set, corev1.EventTypeNormal, "Matrix", "told by controller-runtime")
		return until("the event", func() (bool, error) {
			var events corev1.EventList
			err := direct.List(ctx, &events, client.InNamespace(namespace))
			for _, event := range events.Items {
				if event.Reason == "Matrix" {
					return true, err
				}
			}
			return false, err
		})
	})
	step("deletion takes the owned along", func() error {
		asked := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "cr-asked"}}
		if err := direct.Delete(ctx, asked, client.PropagationPolicy(metav1.DeletePropagationForeground)); err != nil {
			return err
		}
		return until("the end of its StatefulSet", func() (bool, error) {
			err := direct.Get(ctx, client.ObjectKeyFromObject(asked), &appsv1.StatefulSet{})
			return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
		})
	})
	cancel()
	if failed {
		os.Exit(1)
	}
}
