package ckpt_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/objectgraph"
	"github.com/ckpt-go/ckpt/tensor"
)

// snapshot is everything a failed restore must leave alone.
type snapshot struct {
	Bits    map[string][]uint32
	Counter int64
	Keys    []string
}

// standing is a program in use.
type standing struct {
	c    *ckpt.Checkpoint
	a, b *ckpt.Variable[float32]
	name *ckpt.StringVariable
	json map[string]int
	node *ckpt.Node
}

func newStanding() *standing {
	s := &standing{
		a: scalar(float32(math.NaN())), b: vector(1, 2, 3), json: map[string]int{"x": 1}, node: branch(),
		name: ckpt.NewStringVariable("name", []int64{1}, [][]byte{[]byte("old")}),
	}
	s.c = ckpt.New(ckpt.Objects{"a": s.a, "b": s.b, "name": s.name, "json": ckpt.NewJSON(&s.json), "node": s.node})
	return s
}

func (s *standing) look(t *testing.T) snapshot {
	t.Helper()
	bits := make(map[string][]uint32)
	for name, v := range map[string]*ckpt.Variable[float32]{"a": s.a, "b": s.b} {
		for _, x := range v.Data() {
			bits[name] = append(bits[name], math.Float32bits(x))
		}
	}
	bits["name "+string(s.name.Elements()[0])+fmt.Sprint(s.json)] = nil
	var keys []string
	for _, e := range write(t, s.c).graph(t).Nodes[0].Children {
		keys = append(keys, e.Name)
	}
	return snapshot{bits, s.c.SaveCounter(), keys}
}

// good is a checkpoint that fits a standing program.
func good(t *testing.T) saved {
	name := ckpt.NewStringVariable("name", []int64{1}, [][]byte{[]byte("new")})
	return save(t, ckpt.New(ckpt.Objects{"a": scalar(10), "b": vector(4, 5, 6), "name": name, "json": ckpt.NewJSON(&map[string]int{"y": 2}),
		"node": branch("later", scalar(7))}))
}

// A restore that fails changes nothing: no value, no binding, no counter. The
// next good one works.
func TestRS22RS23AllOrNothing(t *testing.T) {
	for _, test := range []struct {
		name   string
		break_ func(t *testing.T, s saved) saved
		want   string
		class  error
		check  func(t *testing.T, err error)
	}{
		{"RS-22 shape", func(t *testing.T, s saved) saved {
			return s.with(t, map[string]*tensor.Tensor{"b" + value: floats(t, 1, 2)})
		}, "incompatible tensor with shape [2] for a variable with shape [3]", ckpt.ErrMismatch, func(t *testing.T, err error) {
			var m *ckpt.MismatchError
			if !errors.As(err, &m) || m.Key != "b"+value || m.Want != "float32 [3]" || m.Got != "float32 [2]" {
				t.Errorf("got %+v", m)
			}
		}},
		{"dtype", func(t *testing.T, s saved) saved {
			x, err := tensor.Of([]int64{3}, []int32{1, 2, 3})
			if err != nil {
				t.Fatal(err)
			}
			return s.with(t, map[string]*tensor.Tensor{"b" + value: x})
		}, "expected dtype float does not equal original dtype int32", ckpt.ErrMismatch, nil},
		{"missing key", func(t *testing.T, s saved) saved {
			return s.with(t, map[string]*tensor.Tensor{"b" + value: nil})
		}, "Key b" + value + " not found in checkpoint", ckpt.ErrMismatch, nil},
		{"text that does not parse", func(t *testing.T, s saved) saved {
			return s.with(t, map[string]*tensor.Tensor{"json/.ATTRIBUTES/py_state": text(t, []byte("{"))})
		}, "JSON", ckpt.ErrMismatch, nil},
		{"checksum", func(t *testing.T, s saved) saved {
			s.damage(t, "b"+value)
			return s
		}, "b" + value, ckpt.ErrCorrupt, func(t *testing.T, err error) {
			var c *ckpt.CorruptError
			if !errors.As(err, &c) || c.Key != "b"+value || c.File != dataOf("c-1") || c.Offset < 0 || c.Kind != ckpt.KindChecksum {
				t.Errorf("got %+v", c)
			}
		}},
		{"checksum of a string", func(t *testing.T, s saved) saved {
			s.damage(t, "name"+value)
			return s
		}, "name" + value, ckpt.ErrCorrupt, nil},
		{"graph", func(t *testing.T, s saved) saved {
			return s.withGraph(t, []byte{0xff, 0xff})
		}, objectgraph.Key, ckpt.ErrCorrupt, nil},
	} {
		for _, inPlace := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/inplace=%v", test.name, inPlace), func(t *testing.T) {
				s, p := test.break_(t, good(t)), newStanding()
				before := p.look(t)
				status, err := p.c.Restore(t.Context(), s.prefix, &ckpt.RestoreOptions{Bucket: s.bucket, InPlace: inPlace})
				if status != nil || !errors.Is(err, test.class) {
					t.Fatalf("got %v, %v, want %v", status, err, test.class)
				}
				wantError(t, "Restore", err, test.want)
				if test.check != nil {
					test.check(t, err)
				}
				if unusable := strings.Contains(err.Error(), "must not be used"); unusable != (inPlace && (strings.HasPrefix(test.name, "checksum") || strings.HasPrefix(test.name, "text"))) {
					t.Errorf("got %q", err)
				}
				if !inPlace {
					if diff := cmp.Diff(p.look(t), before); diff != "" {
						t.Errorf("-after +before:\n%s", diff)
					}
				}
				later := scalar(1)
				if err := p.node.Track("later", later); err != nil {
					t.Fatal(err)
				}
				wantValues(t, "later", later, 1) // nothing waits of the failed restore

				wantChecks(t, good(t).restore(t, p.c), "", "", "")
				wantValues(t, "a", p.a, 10)
				wantValues(t, "b", p.b, 4, 5, 6)
				wantValues(t, "later", later, 7)
				if got := string(p.name.Elements()[0]); got != "new" || p.json["y"] != 2 || p.c.SaveCounter() != 1 {
					t.Errorf("got name %q, json %v, counter %d", got, p.json, p.c.SaveCounter())
				}
			})
		}
	}
}

func floats(t *testing.T, v ...float32) *tensor.Tensor {
	t.Helper()
	x, err := tensor.Of([]int64{int64(len(v))}, v)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// Every misfit is named, not only the first.
func TestRS23AllMisfits(t *testing.T) {
	s := write(t, ckpt.New(ckpt.Objects{"a": scalar(1), "b": vector(1, 2), "c": vector(1)}))
	a, b := scalar(0), vector(0)
	_, err := ckpt.New(ckpt.Objects{"a": a, "b": b, "c": ckpt.NewScalar("c", int8(0))}).Read(t.Context(), s.prefix, &ckpt.RestoreOptions{Bucket: s.bucket})
	wantError(t, "Read", err, "b"+value)
	wantError(t, "Read", err, "c"+value)
	wantValues(t, "a", a, 0)
	wantValues(t, "b", b, 0)
}

func TestRestoreCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s, p := good(t), newStanding()
	before := p.look(t)
	if _, err := p.c.Restore(ctx, s.prefix, &ckpt.RestoreOptions{Bucket: s.bucket}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if diff := cmp.Diff(p.look(t), before); diff != "" {
		t.Errorf("-after +before:\n%s", diff)
	}
}
