package ckpt_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/tensor"
)

// floatsOf is a tensor of a float dtype.
func floatsOf(t testing.TB, d tensor.DType, values ...float64) *tensor.Tensor {
	t.Helper()
	x, err := tensor.FromFloats(d, tensor.Shape{int64(len(values))}, values)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func intsOf(t testing.TB, d tensor.DType, values ...int64) *tensor.Tensor {
	t.Helper()
	x, err := tensor.FromInts(d, tensor.Shape{int64(len(values))}, values)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// rawOf is a live variable of a dtype, of as many elements as a tensor has.
func rawOf(d tensor.DType, like *tensor.Tensor) *ckpt.RawVariable {
	return ckpt.NewRawVariable("v", d, like.Shape(), nil)
}

// storedAs is a checkpoint of one variable v and a float32 scalar a.
func storedAs(t testing.TB, x *tensor.Tensor) saved {
	t.Helper()
	return write(t, ckpt.New(ckpt.Objects{"a": scalar(1), "v": ckpt.NewRawVariable("v", x.DType(), x.Shape(), slices.Clone(x.Bytes()))}))
}

var wideUint64 = []uint64{1 << 63, 3}

func TestCast(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	for _, test := range []struct {
		from, want *tensor.Tensor
	}{
		{floatsOf(t, tensor.Float32, 1.5, -0.1, inf), floatsOf(t, tensor.Float64, 1.5, float64(float32(-0.1)), inf)},
		{floatsOf(t, tensor.Float64, 1.5, 0.1, -inf, nan), floatsOf(t, tensor.Float32, 1.5, 0.1, -inf, nan)},
		{floatsOf(t, tensor.Float32, 1, 1.0001, 65504, -inf, nan), floatsOf(t, tensor.Float16, 1, 1, 65504, -inf, nan)},
		{floatsOf(t, tensor.Float16, 1.5, inf), floatsOf(t, tensor.BFloat16, 1.5, inf)},
		{floatsOf(t, tensor.BFloat16, 1.5, 3e38), floatsOf(t, tensor.Float32, 1.5, float64(math.Float32frombits(0x7f620000)))},
		{floatsOf(t, tensor.Float32, 448, -0.5, nan), floatsOf(t, tensor.Float8E4M3FN, 448, -0.5, nan)},
		{floatsOf(t, tensor.Float32, 6, 6.5, -3), floatsOf(t, tensor.Float4E2M1FN, 6, 6, -3)},
		{intsOf(t, tensor.Int32, -5, 127), intsOf(t, tensor.Int8, -5, 127)},
		{intsOf(t, tensor.Int8, -5, 127), intsOf(t, tensor.Int64, -5, 127)},
		{intsOf(t, tensor.Int64, 0, 255), intsOf(t, tensor.Uint8, 0, 255)},
		{intsOf(t, tensor.Uint32, 0, 7), intsOf(t, tensor.Int4, 0, 7)},
		{intsOf(t, tensor.Int64, 1<<53, -3), floatsOf(t, tensor.Float64, 1<<53, -3)},
		{intsOf(t, tensor.Int32, 2048, -3), floatsOf(t, tensor.Float16, 2048, -3)},
		{tensorOf(t, tensor.Shape{2}, wideUint64...), floatsOf(t, tensor.Float32, 1<<63, 3)},
		{floatsOf(t, tensor.Float32), floatsOf(t, tensor.Float64)},
	} {
		name := fmt.Sprintf("%v to %v", test.from, test.want)
		s := storedAs(t, test.from)
		for _, inPlace := range []bool{false, true} {
			v := rawOf(test.want.DType(), test.from)
			_, err := s.options(t, ckpt.New(ckpt.Objects{"a": scalar(0), "v": v}), ckpt.RestoreOptions{Cast: true, InPlace: inPlace})
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if !slices.Equal(v.Bytes(), test.want.Bytes()) {
				t.Errorf("%s: got %x, want %x", name, v.Bytes(), test.want.Bytes())
			}
		}
		_, err := s.options(t, ckpt.New(ckpt.Objects{"a": scalar(0), "v": rawOf(test.want.DType(), test.from)}), ckpt.RestoreOptions{})
		wantMismatch(t, name+" without Cast", err, "(the option Cast would convert it)")
	}
}

func TestCastRefuses(t *testing.T) {
	big := make([]float64, 100_000)
	big[70_000] = 65520
	for _, test := range []struct {
		from *tensor.Tensor
		to   tensor.DType
		want string
	}{
		{floatsOf(t, tensor.Float32, 1, 65520), tensor.Float16, "element 1 is 65520, which float16 does not hold"},
		{floatsOf(t, tensor.Float32, big...), tensor.Float16, "element 70000 is 65520, which float16 does not hold"},
		{floatsOf(t, tensor.Float64, 1, 1, -1e39), tensor.Float32, "element 2 is -1e+39, which float32"},
		{floatsOf(t, tensor.Float32, math.Inf(1)), tensor.Float8E4M3FN, "element 0 is +Inf, which float8_e4m3fn"},
		{floatsOf(t, tensor.Float32, 1, 500), tensor.Float8E4M3FN, "element 1 is 500"},
		{floatsOf(t, tensor.Float32, 1, math.NaN()), tensor.Float4E2M1FN, "element 1 is NaN"},
		{floatsOf(t, tensor.Float32, 1, 7), tensor.Float4E2M1FN, "element 1 is 7"},
		{floatsOf(t, tensor.Float32, 1), tensor.Int32, "expected dtype int32 does not equal original dtype float (the option Cast makes no integers of floats)"},
		{floatsOf(t, tensor.Float64, math.NaN()), tensor.Int64, "the option Cast makes no integers of floats"},
		{intsOf(t, tensor.Int32, 1, 128), tensor.Int8, "element 1 is 128, which int8"},
		{intsOf(t, tensor.Int64, 1, -1), tensor.Uint64, "element 1 is -1, which uint64"},
		{intsOf(t, tensor.Int64, 1, -1), tensor.Uint2, "element 1 is -1, which uint2"},
		{tensorOf(t, tensor.Shape{2}, wideUint64...), tensor.Int64, "element 0 is 9223372036854775808, which int64"},
		{intsOf(t, tensor.Int64, 1<<53+1), tensor.Float64, "element 0 is 9007199254740993, which float64"},
		{intsOf(t, tensor.Int32, 1<<24, 1<<24+1), tensor.Float32, "element 1 is 16777217, which float32"},
		{intsOf(t, tensor.Int64, math.MaxInt64), tensor.Float64, "element 0 is 9223372036854775807"},
		{tensorOf[uint64](t, tensor.Shape{1}, math.MaxUint64), tensor.Float64, "element 0 is 18446744073709551615"},
		{tensorOf(t, tensor.Shape{1}, true), tensor.Int8, "the option Cast does not convert these"},
		{tensorOf(t, tensor.Shape{1}, complex64(1)), tensor.Complex128, "the option Cast does not convert these"},
	} {
		name := fmt.Sprintf("%v to %v", test.from, test.to)
		s := storedAs(t, test.from)
		for _, inPlace := range []bool{false, true} {
			a, v := scalar(5), rawOf(test.to, test.from)
			for i := range v.Bytes() {
				v.Bytes()[i] = 1
			}
			before := slices.Clone(v.Bytes())
			_, err := s.options(t, ckpt.New(ckpt.Objects{"a": a, "v": v}), ckpt.RestoreOptions{Cast: true, InPlace: inPlace})
			wantMismatch(t, name, err, test.want)
			wantError(t, name, err, "v/.ATTRIBUTES/VARIABLE_VALUE: the program has "+test.to.String())
			var one *ckpt.MismatchError
			if !errors.As(err, &one) || one.Key != "v/.ATTRIBUTES/VARIABLE_VALUE" {
				t.Errorf("%s: got %v, want a MismatchError with the key", name, err)
			}
			if wantValues(t, name, a, 5); !slices.Equal(v.Bytes(), before) {
				t.Errorf("%s: v changed", name)
			}
		}
	}
}

// Fields of structs, values that wait, chosen nodes and full names are cast, too.
func TestCastElsewhere(t *testing.T) {
	s := write(t, ckpt.New(ckpt.Objects{"s": branch("weights", ckpt.NewVariable("w", []int64{3}, []float64{1, 2, 3}), "step", ckpt.NewScalar("step", int32(7)))}))
	var state struct {
		Weights []float32 `ckpt:"weights"`
		Step    int       `ckpt:"step"`
	}
	o := ckpt.RestoreOptions{Cast: true}
	if _, err := s.options(t, ckpt.New(ckpt.Objects{"s": ckpt.Track(&state)}), o); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(state.Weights, []float32{1, 2, 3}) || state.Step != 7 {
		t.Errorf("got %v", state)
	}

	root := branch()
	if _, err := s.options(t, ckpt.New(ckpt.Objects{"s": root}), o); err != nil {
		t.Fatal(err)
	}
	w := vector(0, 0, 0)
	if err := root.Track("weights", w); err != nil {
		t.Fatal(err)
	}
	wantValues(t, "weights that waited", w, 1, 2, 3)

	w = vector(0, 0, 0)
	view := s.view(t)
	children, err := view.Children(1)
	if err != nil {
		t.Fatal(err)
	}
	if err := ckpt.RestoreNodes(t.Context(), s.prefix, map[int]ckpt.Trackable{children[0].Node: w}, &ckpt.RestoreOptions{Bucket: s.bucket, Cast: true}); err != nil {
		t.Fatal(err)
	}
	wantValues(t, "weights of a node", w, 1, 2, 3)

	named := writeNames(t, mem.New(), "m", map[string]*tensor.Tensor{"a": tensorOf[float64](t, nil, 4)})
	a := called("a")
	if _, err := named.options(t, ckpt.New(ckpt.Objects{"x": a}), o); err != nil {
		t.Fatal(err)
	}
	wantValues(t, "a by its full name", a, 4)
}

func TestCastResume(t *testing.T) {
	dir := t.TempDir()
	if _, err := newManager(t, ckpt.New(ckpt.Objects{"v": ckpt.NewVariable("v", []int64{2}, []float64{1, 2})}), dir, nil).Save(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	v := vector(0, 0)
	manager := newManager(t, ckpt.New(ckpt.Objects{"v": v}), dir, nil)
	if _, err := manager.Resume(t.Context(), nil); !errors.Is(err, ckpt.ErrMismatch) {
		t.Errorf("without Cast: got %v, want ErrMismatch", err)
	}
	if _, err := manager.Resume(t.Context(), &ckpt.ResumeOptions{Cast: true}); err != nil {
		t.Fatal(err)
	}
	wantValues(t, "v", v, 1, 2)
}
