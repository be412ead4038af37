package ckpt_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ckpt-go/ckpt"
)

func TestCT13State(t *testing.T) {
	numpy := []float64{1}
	s := write(t, ckpt.New(ckpt.Objects{"numpy": ckpt.NewJSON(&numpy)}))
	wantKeys(t, s, "numpy/.ATTRIBUTES/py_state")
	if a := s.graph(t).Nodes[1].Attributes[0]; a.FullName != "" || a.Name != ckpt.PythonStateValue {
		t.Errorf("got %+v", a)
	}
	got, err := s.open(t).Tensor(t.Context(), "numpy/.ATTRIBUTES/py_state")
	if err != nil || string(got.Strings()[0]) != "[1]" || len(got.Shape()) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
	numpy[0] = 2
	c := ckpt.New(ckpt.Objects{"numpy": ckpt.NewJSON(&numpy)})
	wantChecks(t, s.read(t, c), "", "", "")
	if !cmp.Equal(numpy, []float64{1}) {
		t.Errorf("got %v", numpy)
	}
	none := ckpt.NewPythonState(nil, func([]byte) (func(), error) { return nil, nil })
	s.read(t, ckpt.New(ckpt.Objects{"numpy": none}))
	bad := ckpt.NewPythonState(nil, func([]byte) (func(), error) { return nil, errors.New("no use") })
	_, err = ckpt.New(ckpt.Objects{"numpy": bad}).Read(t.Context(), s.prefix, &ckpt.RestoreOptions{Bucket: s.bucket})
	wantError(t, "Read", err, "no use")
}

func TestCT14StatesOfTwoFiles(t *testing.T) {
	a, b, c := [2][2]float64{{1, 1}, {1, 1}}, [2][2]float64{}, 3.0
	state := ckpt.New(ckpt.Objects{"a": ckpt.NewJSON(&a), "b": ckpt.NewJSON(&b), "c": ckpt.NewJSON(&c)})
	first := write(t, state)
	a[1][1], c = 2, 4
	second := write(t, state)
	for _, test := range []struct {
		from saved
		a11  float64
		c    float64
	}{{first, 1, 3}, {first, 1, 3}, {second, 2, 4}} {
		wantChecks(t, test.from.read(t, state), "", "", "")
		if a[1][1] != test.a11 || a[0][0] != 1 || b != [2][2]float64{} || c != test.c {
			t.Errorf("got %v, %v, %v, want a[1][1] = %v and c = %v", a, b, c, test.a11, test.c)
		}
		a, b, c = [2][2]float64{}, [2][2]float64{{5}}, 6
	}
}

// An object that now has configuration besides what was stored of it.
func TestCT15UnusedState(t *testing.T) {
	v := 1
	with := branch("v", scalar(1), "config", branch("nothing", branch()))
	s := write(t, ckpt.New(ckpt.Objects{"o": with}))
	bare := branch("v", scalar(0))
	wantChecks(t, s.read(t, ckpt.New(ckpt.Objects{"o": bare})), "", "", "")

	s = write(t, ckpt.New(ckpt.Objects{"o": branch("v", scalar(1), "config", ckpt.NewJSON(&v))}))
	wantError(t, "a stored state without an object", s.read(t, ckpt.New(ckpt.Objects{"o": branch("v", scalar(0))})).CheckConsumed(), "(root).o.config")
}
