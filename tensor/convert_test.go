package tensor_test

import (
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/ckpt-go/ckpt/tensor"
)

// bits32 and bits64 tell NaNs and zeros apart.
func bits32(v []float32) (b []uint32) {
	for _, x := range v {
		b = append(b, math.Float32bits(x))
	}
	return b
}

func bits64(v []float64) (b []uint64) {
	for _, x := range v {
		b = append(b, math.Float64bits(x))
	}
	return b
}

func TestFloatsOfWideDTypes(t *testing.T) {
	inf, zero := math.Inf(1), math.Copysign(0, -1)
	for _, c := range []struct {
		d       tensor.DType
		encoded string
		wide    []float64
		narrow  []float32
	}{
		{tensor.Float32, "\x00\x00\x00\x80\x01\x00\x00\x00\x00\x00\x80\xff", []float64{zero, 0x1p-149, -inf}, []float32{float32(zero), 0x1p-149, float32(-inf)}},
		// 1 + 2^-24 is halfway, the next number is not.
		{tensor.Float64, "\x00\x00\x00\x10\x00\x00\xf0\x3f" + "\x01\x00\x00\x10\x00\x00\xf0\x3f" + "\xff\xff\xff\xff\xff\xff\xef\x7f",
			[]float64{1 + 0x1p-24, 1 + 0x1p-24 + 0x1p-52, math.MaxFloat64}, []float32{1, 1 + 0x1p-23, float32(inf)}},
		{tensor.Int8, "\x80\xff\x7f", []float64{-128, -1, 127}, []float32{-128, -1, 127}},
		{tensor.QInt8, "\x80\xff\x7f", []float64{-128, -1, 127}, []float32{-128, -1, 127}},
		{tensor.Uint8, "\x00\xff", []float64{0, 255}, []float32{0, 255}},
		{tensor.QUint8, "\x00\xff", []float64{0, 255}, []float32{0, 255}},
		{tensor.Int16, "\x00\x80\xff\x7f", []float64{-32768, 32767}, []float32{-32768, 32767}},
		{tensor.QInt16, "\x00\x80\xff\x7f", []float64{-32768, 32767}, []float32{-32768, 32767}},
		{tensor.Uint16, "\x00\x80\xff\xff", []float64{32768, 65535}, []float32{32768, 65535}},
		{tensor.QUint16, "\x00\x80\xff\xff", []float64{32768, 65535}, []float32{32768, 65535}},
		// 2^31-1 is no float32; 2^24+1 and 2^24+3 are halfway.
		{tensor.Int32, "\x00\x00\x00\x80\xff\xff\xff\x7f", []float64{-0x1p31, 0x1p31 - 1}, []float32{-0x1p31, 0x1p31}},
		{tensor.QInt32, "\x01\x00\x00\x01\x03\x00\x00\x01", []float64{0x1p24 + 1, 0x1p24 + 3}, []float32{0x1p24, 0x1p24 + 4}},
		{tensor.Uint32, "\xff\xff\xff\xff", []float64{0x1p32 - 1}, []float32{0x1p32}},
		// 2^53+1 and 2^53+3 are halfway for float64; 2^54+2^30+1 and 2^63+2^39+1 are just above halfway for
		// float32, and halfway if rounded to float64 first.
		{tensor.Int64, "\x01\x00\x00\x00\x00\x00\x20\x00" + "\x03\x00\x00\x00\x00\x00\x20\x00" + "\x01\x00\x00\x40\x00\x00\x40\x00" + "\x00\x00\x00\x00\x00\x00\x00\x80",
			[]float64{0x1p53, 0x1p53 + 4, 0x1p54 + 0x1p30, -0x1p63}, []float32{0x1p53, 0x1p53, 0x1p54 + 0x1p31, -0x1p63}},
		{tensor.Uint64, "\xff\xff\xff\xff\xff\xff\xff\xff" + "\x01\x00\x00\x00\x80\x00\x00\x80", []float64{0x1p64, 0x1p63 + 0x1p39}, []float32{0x1p64, 0x1p63 + 0x1p40}},
		{tensor.Bool, "\x00\x01\x02\xff", []float64{0, 1, 1, 1}, []float32{0, 1, 1, 1}},
		{tensor.Float16, "", []float64{}, []float32{}},
	} {
		t.Run(c.d.String(), func(t *testing.T) {
			v := allBytes(t, c.d, []byte(c.encoded))
			if got := floats[float64](t, v); !slices.Equal(bits64(got), bits64(c.wide)) {
				t.Errorf("got %v, want %v", got, c.wide)
			}
			if got := floats[float32](t, v); !slices.Equal(bits32(got), bits32(c.narrow)) {
				t.Errorf("got %v, want %v", got, c.narrow)
			}
		})
	}
}

// TestFloatsOfUnalignedBytes takes the bytes from places where no view of them
// as numbers is possible.
func TestFloatsOfUnalignedBytes(t *testing.T) {
	for d, encoded := range map[tensor.DType]string{
		tensor.Float64:  "\x00\x00\x00\x00\x00\x00\xf8\xbf",
		tensor.Float32:  "\x00\x00\xc0\xbf",
		tensor.BFloat16: "\xc0\xbf",
		tensor.Float16:  "\x00\xbe",
	} {
		for offset := range 8 {
			b := append(make([]byte, offset), encoded...)
			if got := floats[float32](t, allBytes(t, d, b[offset:])); got[0] != -1.5 {
				t.Errorf("%s at offset %d: got %v, want -1.5", d, offset, got)
			}
		}
	}
}

func TestFromFloats(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	for _, c := range []struct {
		name   string
		d      tensor.DType
		values []float64
		want   string
	}{
		{"float32", tensor.Float32, []float64{1 + 0x1p-24, 1e300, -0x1p-150}, "\x00\x00\x80\x3f\x00\x00\x80\x7f\x00\x00\x00\x80"},
		{"float64", tensor.Float64, []float64{-1.5}, "\x00\x00\x00\x00\x00\x00\xf8\xbf"},
		{"infinite half", tensor.Float16, []float64{65519, 65520, -inf}, "\xff\x7b\x00\x7c\x00\xfc"},
		{"e4m3fn has no infinity", tensor.Float8E4M3FN, []float64{464, 465, -inf, math.Copysign(nan, -1)}, "\x7e\x7f\xff\xff"},
		{"fnuz has one zero, one NaN", tensor.Float8E4M3FNUZ, []float64{math.Copysign(0, -1), -1e-9, nan, inf, 247, 248}, "\x00\x00\x80\x80\x7f\x80"},
		{"float4 saturates", tensor.Float4E2M1FN, []float64{5, 5.1, 1e9, -inf, math.Copysign(0, -1)}, "\x06\x07\x07\x0f\x08"},
		{"no double rounding", tensor.BFloat16, []float64{1 + 0x1p-8, 1 + 0x1p-8 + 0x1p-52}, "\x80\x3f\x81\x3f"},
		{"bool", tensor.Bool, []float64{0, 1, math.Copysign(0, -1)}, "\x00\x01\x00"},
		{"int2", tensor.Int2, []float64{-2, -1, 0, 1}, "\x02\x03\x00\x01"},
		{"uint2", tensor.Uint2, []float64{0, 3}, "\x00\x03"},
		{"int4", tensor.Int4, []float64{-8, -1, 7}, "\x08\x0f\x07"},
		{"uint4", tensor.Uint4, []float64{8, 15}, "\x08\x0f"},
		{"qint16", tensor.QInt16, []float64{-32768, 32767}, "\x00\x80\xff\x7f"},
		{"quint16", tensor.QUint16, []float64{65535}, "\xff\xff"},
		{"qint32", tensor.QInt32, []float64{-0x1p31}, "\x00\x00\x00\x80"},
		{"int64", tensor.Int64, []float64{-0x1p63, 0x1p63 - 1024}, "\x00\x00\x00\x00\x00\x00\x00\x80\x00\xfc\xff\xff\xff\xff\xff\x7f"},
		{"uint64", tensor.Uint64, []float64{0x1p63, 0x1p64 - 2048}, "\x00\x00\x00\x00\x00\x00\x00\x80\x00\xf8\xff\xff\xff\xff\xff\xff"},
		{"nothing", tensor.BFloat16, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := fromFloats(t, c.d, c.values); string(got) != c.want {
				t.Errorf("got %x, want %x", got, c.want)
			}
		})
	}
}

func TestInts(t *testing.T) {
	for _, c := range []struct {
		d       tensor.DType
		encoded string
		want    []int64
	}{
		{tensor.Int8, "\x80\x7f", []int64{-128, 127}},
		{tensor.QInt8, "\x80\x7f", []int64{-128, 127}},
		{tensor.Uint8, "\xff", []int64{255}},
		{tensor.QUint8, "\xff", []int64{255}},
		{tensor.Int16, "\x00\x80", []int64{-32768}},
		{tensor.QInt16, "\x00\x80", []int64{-32768}},
		{tensor.Uint16, "\x00\x80", []int64{32768}},
		{tensor.QUint16, "\x00\x80", []int64{32768}},
		{tensor.Int32, "\x00\x00\x00\x80", []int64{math.MinInt32}},
		{tensor.QInt32, "\xff\xff\xff\x7f", []int64{math.MaxInt32}},
		{tensor.Uint32, "\xff\xff\xff\xff", []int64{math.MaxUint32}},
		{tensor.Int64, "\x01\x00\x00\x00\x00\x00\x20\x80\xff\xff\xff\xff\xff\xff\xff\x7f", []int64{math.MinInt64 + 1<<53 + 1, math.MaxInt64}},
		{tensor.Uint64, "\xff\xff\xff\xff\xff\xff\xff\x7f", []int64{math.MaxInt64}},
		{tensor.Int4, "\x08\x0f\x00\x07", []int64{-8, -1, 0, 7}},
		{tensor.Uint4, "\x08\x0f", []int64{8, 15}},
		{tensor.Int2, "\x02\x03\x00\x01", []int64{-2, -1, 0, 1}},
		{tensor.Uint2, "\x02\x03", []int64{2, 3}},
		{tensor.Bool, "\x00\x01", []int64{0, 1}},
	} {
		t.Run(c.d.String(), func(t *testing.T) {
			got, err := tensor.Ints(allBytes(t, c.d, []byte(c.encoded)))
			if err != nil || !slices.Equal(got, c.want) {
				t.Errorf("got %v, %v, want %v", got, err, c.want)
			}
			v, err := tensor.FromInts(c.d, tensor.Shape{int64(len(c.want))}, c.want)
			if err != nil || string(v.Bytes()) != c.encoded {
				t.Errorf("got %v, %v, want bytes %x", v, err, c.encoded)
			}
		})
	}
	got, err := tensor.Ints(allBytes(t, tensor.Bool, []byte{2, 0xff}))
	if want := []int64{1, 1}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}

// TestNotInDType holds the words for numbers that a dtype does not have.
func TestNotInDType(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for d, values := range map[tensor.DType][]float64{
		tensor.Float4E2M1FN: {nan},
		tensor.Int4:         {8, -9, 0.5, nan, inf},
		tensor.Uint4:        {16, -1, 1e300},
		tensor.Int2:         {2, -3},
		tensor.Uint2:        {4, -1},
		tensor.Bool:         {2, -1, 0.5, nan},
		tensor.QInt8:        {128, -129},
		tensor.Uint8:        {256, -1},
		tensor.Int32:        {0x1p31, -0x1p31 - 1},
		tensor.Int64:        {0x1p63, -0x1p63 - 2048, inf, -inf, nan},
		tensor.Uint64:       {0x1p64, -1, nan},
	} {
		for _, v := range values {
			if got, err := tensor.FromFloats(d, tensor.Shape{2}, []float64{0, v}); err == nil {
				t.Errorf("%v in %s: got %x", v, d, got.Bytes())
			}
		}
	}
	for d, values := range map[tensor.DType][]int64{
		tensor.Int4: {8, -9}, tensor.Uint4: {16, -1}, tensor.Int2: {2, -3}, tensor.Uint2: {4, -1}, tensor.Bool: {2, -1},
		tensor.Int8: {128, -129}, tensor.Uint16: {65536, -1}, tensor.QInt32: {1 << 31, -1<<31 - 1}, tensor.Uint64: {-1},
	} {
		for _, v := range values {
			if got, err := tensor.FromInts(d, nil, []int64{v}); err == nil {
				t.Errorf("%d in %s: got %x", v, d, got.Bytes())
			}
		}
	}
	for want, err := range map[string]error{
		"element 1: 8 is not in dtype int4":              second(tensor.FromFloats(tensor.Int4, tensor.Shape{2}, []float32{7, 8})),
		"element 0: NaN is not in dtype float4_e2m1fn":   second(tensor.FromFloats(tensor.Float4E2M1FN, nil, []float64{nan})),
		"element 1: -1 is not in dtype uint2":            second(tensor.FromInts(tensor.Uint2, tensor.Shape{2}, []int64{3, -1})),
		"element 0: 9223372036854775808 is not in int64": ints(allBytes(t, tensor.Uint64, []byte{0, 0, 0, 0, 0, 0, 0, 0x80})),
		"1 bytes are no int4 tensor of shape [2]":        second(tensor.FromInts(tensor.Int4, tensor.Shape{2}, []int64{1})),
		"2 bytes are no bfloat16 tensor of shape [2]":    second(tensor.FromFloats(tensor.BFloat16, tensor.Shape{2}, []float32{1})),
	} {
		if err == nil || err.Error() != want {
			t.Errorf("got error %v, want %s", err, want)
		}
	}
}

func ints(v *tensor.Tensor) error {
	_, err := tensor.Ints(v)
	return err
}

// TestConvertMismatches names dtypes that hold no such numbers.
func TestConvertMismatches(t *testing.T) {
	text, err := tensor.NewStrings(nil, [][]byte{nil})
	if err != nil {
		t.Fatal(err)
	}
	variant, err := tensor.NewVariants(nil, [][]byte{nil})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []*tensor.Tensor{text, variant, allBytes(t, tensor.Complex64, make([]byte, 8)), allBytes(t, tensor.Complex128, nil)} {
		if _, err := tensor.Floats[float32](v); !errors.Is(err, tensor.ErrMismatch) {
			t.Errorf("floats of %s: got error %v", v, err)
		}
		if err := ints(v); !errors.Is(err, tensor.ErrMismatch) {
			t.Errorf("ints of %s: got error %v", v, err)
		}
	}
	if err := ints(allBytes(t, tensor.Float16, nil)); !errors.Is(err, tensor.ErrMismatch) {
		t.Errorf("got error %v", err)
	}
	for _, d := range []tensor.DType{tensor.Complex64, tensor.String, tensor.Variant, tensor.Resource, tensor.Invalid, 77, -1} {
		if _, err := tensor.FromFloats(d, nil, []float64{0}); !errors.Is(err, tensor.ErrMismatch) {
			t.Errorf("FromFloats of %s: got error %v", d, err)
		}
		if _, err := tensor.FromInts(d, nil, []int64{0}); !errors.Is(err, tensor.ErrMismatch) {
			t.Errorf("FromInts of %s: got error %v", d, err)
		}
	}
}

// TestConvertNamedTypes: a named type is what it is made of.
func TestConvertNamedTypes(t *testing.T) {
	shape, values := tensor.Shape{1}, []celsius{-1.5}
	v, err := tensor.FromFloats(tensor.Float16, shape, values)
	if err != nil {
		t.Fatal(err)
	}
	shape[0], values[0] = 9, 9
	if got := floats[celsius](t, v); got[0] != -1.5 || v.Shape()[0] != 1 {
		t.Errorf("got %v %v, want -1.5 in shape [1]", got, v)
	}
}
