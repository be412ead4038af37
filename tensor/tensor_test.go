package tensor_test

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt/tensor"
)

func TestShape(t *testing.T) {
	for _, c := range []struct {
		shape tensor.Shape
		text  string
		n     int64
		ok    bool
	}{
		{nil, "[]", 1, true},
		{tensor.Shape{}, "[]", 1, true},
		{tensor.Shape{2, 3}, "[2,3]", 6, true},
		{tensor.Shape{0, 1618}, "[0,1618]", 0, true},
		{tensor.Shape{-1, 3}, "[?,3]", 0, false},
		{tensor.Shape{-2}, "[-2]", 0, false},
		{tensor.Shape{math.MaxInt64}, "[9223372036854775807]", math.MaxInt64, true},
		{tensor.Shape{1 << 32, 1 << 31}, "[4294967296,2147483648]", 0, false},
		{tensor.Shape{1 << 62, 1 << 62}, "[4611686018427387904,4611686018427387904]", 0, false},
		{tensor.Shape{0, 1 << 62, 1 << 62}, "[0,4611686018427387904,4611686018427387904]", 0, true},
	} {
		n, ok := c.shape.Elements()
		if c.shape.String() != c.text || n != c.n || ok != c.ok {
			t.Errorf("got %s with %d, %v, want %+v", c.shape, n, ok, c)
		}
	}
	for _, c := range []struct {
		want, got tensor.Shape
		accepts   bool
	}{
		{nil, tensor.Shape{}, true},
		{tensor.Shape{-1, 3}, tensor.Shape{2, 3}, true},
		{tensor.Shape{-1, 3}, tensor.Shape{0, 3}, true},
		{tensor.Shape{-1, 3}, tensor.Shape{2, 4}, false},
		{tensor.Shape{-1}, nil, false},
		{tensor.Shape{2}, tensor.Shape{-1}, false},
	} {
		if got := c.want.Accepts(c.got); got != c.accepts {
			t.Errorf("%s accepts %s: got %v", c.want, c.got, got)
		}
	}
	a := tensor.Shape{2, 3}
	b := a.Clone()
	if !a.Equal(b) || a.Equal(tensor.Shape{2}) || !tensor.Shape(nil).Equal(tensor.Shape{}) {
		t.Error("Equal is wrong")
	}
	if b[0] = 5; a[0] != 2 {
		t.Error("Clone shares memory")
	}
}

type celsius float32

type flag bool

func roundTrip[T tensor.Element](t *testing.T, want tensor.DType, encoded string, values ...T) {
	t.Helper()
	shape := tensor.Shape{int64(len(values))}
	v, err := tensor.Of(shape, values)
	if err != nil {
		t.Fatal(err)
	}
	if got := tensor.DTypeOf[T](); got != want || v.DType() != want || !v.Shape().Equal(shape) || v.Strings() != nil {
		t.Errorf("got %s, %v, want %s", got, v, want)
	}
	if string(v.Bytes()) != encoded {
		t.Errorf("%s: got bytes %x, want %x", want, v.Bytes(), encoded)
	}
	got, err := tensor.Values[T](v)
	if err != nil || !slices.Equal(got, values) {
		t.Errorf("%s: got %v, %v, want %v", want, got, err, values)
	}
	if b, ok := tensor.AsBytes(values); !ok || string(b) != encoded {
		t.Errorf("%s: AsBytes got %x, %v", want, b, ok)
	}
	view, ok := tensor.View[T](v.Bytes())
	if ok != (want != tensor.Bool) || ok && !slices.Equal(view, values) {
		t.Errorf("%s: View got %v, %v", want, view, ok)
	}
}

func TestElements(t *testing.T) {
	roundTrip(t, tensor.Float32, "\x00\x00\x80\x3f\x00\x00\xc0\xbf", float32(1), -1.5)
	roundTrip(t, tensor.Float32, "\x00\x00\xc0\xbf", celsius(-1.5))
	roundTrip(t, tensor.Float64, "\x00\x00\x00\x00\x00\x00\xf8\xbf", -1.5)
	roundTrip(t, tensor.Int8, "\x01\xff", int8(1), -1)
	roundTrip(t, tensor.Int16, "\x02\x01\xff\xff", int16(0x0102), -1)
	roundTrip(t, tensor.Int32, "\x04\x03\x02\x01\xff\xff\xff\xff", int32(0x01020304), -1)
	roundTrip(t, tensor.Int64, "\x08\x07\x06\x05\x04\x03\x02\x01", int64(0x0102030405060708))
	roundTrip(t, tensor.Uint8, "\x01\xff", uint8(1), 255)
	roundTrip(t, tensor.Uint16, "\x02\x01\xff\xff", uint16(0x0102), 0xffff)
	roundTrip(t, tensor.Uint32, "\x04\x03\x02\x01", uint32(0x01020304))
	roundTrip(t, tensor.Uint64, "\x08\x07\x06\x05\x04\x03\x02\xff", uint64(0xff02030405060708))
	roundTrip(t, tensor.Bool, "\x01\x00", true, false)
	roundTrip(t, tensor.Bool, "\x01\x00", flag(true), false)
	roundTrip(t, tensor.Complex64, "\x00\x00\x80\x3f\x00\x00\x00\x40", complex64(complex(1, 2)))
	roundTrip(t, tensor.Complex128, "\x00\x00\x00\x00\x00\x00\xf0\x3f\x00\x00\x00\x00\x00\x00\x00\x40", complex(1, 2))
	roundTrip[int64](t, tensor.Int64, "")
}

func TestBoolReadsAnyByte(t *testing.T) {
	v, err := tensor.New(tensor.Bool, tensor.Shape{4}, []byte{0, 1, 2, 0xff})
	if err != nil {
		t.Fatal(err)
	}
	got, err := tensor.Values[bool](v)
	if want := []bool{false, true, true, true}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}

func TestViewRefuses(t *testing.T) {
	backing := make([]int64, 2)
	b, _ := tensor.AsBytes(backing)
	if _, ok := tensor.View[int64](b[1:9]); ok {
		t.Error("View of unaligned bytes succeeded")
	}
	if _, ok := tensor.View[int64](b[:9]); ok {
		t.Error("View of nine bytes as int64 succeeded")
	}
	v, ok := tensor.View[int64](b[8:])
	if !ok {
		t.Fatal("View of aligned bytes failed")
	}
	if v[0] = 7; backing[1] != 7 {
		t.Error("View does not share memory")
	}
}

func TestMismatches(t *testing.T) {
	v, err := tensor.Of(nil, []int32{1})
	if err != nil {
		t.Fatal(err)
	}
	_, err = tensor.Values[float32](v)
	if !errors.Is(err, tensor.ErrMismatch) || !strings.Contains(err.Error(), "expected dtype float does not equal original dtype int32") {
		t.Errorf("got error %v", err)
	}
	s, err := tensor.NewStrings(nil, [][]byte{[]byte("a")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tensor.Values[uint8](s); !errors.Is(err, tensor.ErrMismatch) {
		t.Errorf("got error %v", err)
	}
	if got, want := s.String(), "string []"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for name, err := range map[string]error{
		"bytes":          second(tensor.New(tensor.Int32, tensor.Shape{2}, make([]byte, 9))),
		"too few":        second(tensor.New(tensor.Int32, tensor.Shape{2}, make([]byte, 4))),
		"overflow":       second(tensor.New(tensor.Int32, tensor.Shape{1 << 62}, nil)),
		"negative":       second(tensor.New(tensor.Int32, tensor.Shape{-1}, nil)),
		"no fixed size":  second(tensor.New(tensor.String, nil, nil)),
		"unknown dtype":  second(tensor.New(77, nil, nil)),
		"values":         second(tensor.Of(tensor.Shape{3}, []int8{1})),
		"elements":       second(tensor.NewStrings(tensor.Shape{3}, nil)),
		"variants":       second(tensor.NewVariants(nil, nil)),
		"elements shape": second(tensor.NewStrings(tensor.Shape{-1}, nil)),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func second(_ *tensor.Tensor, err error) error { return err }

func TestOfCopies(t *testing.T) {
	values := []float32{1, 2}
	shape := tensor.Shape{2}
	v, err := tensor.Of(shape, values)
	if err != nil {
		t.Fatal(err)
	}
	values[0], shape[0] = 9, 9
	if got, err := tensor.Values[float32](v); err != nil || got[0] != 1 || v.Shape()[0] != 2 {
		t.Errorf("got %v %v, %v: the tensor shares its input", got, v, err)
	}
}

func TestSwap(t *testing.T) {
	in := []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	for d, want := range map[tensor.DType][]byte{
		tensor.Int8:       in,
		tensor.Int4:       in,
		tensor.BFloat16:   {2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15},
		tensor.Float32:    {4, 3, 2, 1, 8, 7, 6, 5, 12, 11, 10, 9, 16, 15, 14, 13},
		tensor.Complex64:  {4, 3, 2, 1, 8, 7, 6, 5, 12, 11, 10, 9, 16, 15, 14, 13},
		tensor.Int64:      {8, 7, 6, 5, 4, 3, 2, 1, 16, 15, 14, 13, 12, 11, 10, 9},
		tensor.Complex128: {8, 7, 6, 5, 4, 3, 2, 1, 16, 15, 14, 13, 12, 11, 10, 9},
		tensor.String:     in,
	} {
		got := bytes.Clone(in)
		tensor.Swap(got, d)
		if !bytes.Equal(got, want) {
			t.Errorf("%s: got %x, want %x", d, got, want)
		}
	}
}
