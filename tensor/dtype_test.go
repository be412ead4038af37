package tensor_test

import (
	"testing"

	"github.com/ckpt-go/ckpt/tensor"
)

// TestDTypes holds TensorFlow's numbers, names and stored sizes
// (core/framework/types.proto, tf.DType.name, DataTypeString).
func TestDTypes(t *testing.T) {
	for _, c := range []struct {
		d               tensor.DType
		number          int32
		name, op, proto string
		size            int
	}{
		{tensor.Float32, 1, "float32", "float", "DT_FLOAT", 4},
		{tensor.Float64, 2, "float64", "double", "DT_DOUBLE", 8},
		{tensor.Int32, 3, "int32", "int32", "DT_INT32", 4},
		{tensor.Uint8, 4, "uint8", "uint8", "DT_UINT8", 1},
		{tensor.Int16, 5, "int16", "int16", "DT_INT16", 2},
		{tensor.Int8, 6, "int8", "int8", "DT_INT8", 1},
		{tensor.String, 7, "string", "string", "DT_STRING", 0},
		{tensor.Complex64, 8, "complex64", "complex64", "DT_COMPLEX64", 8},
		{tensor.Int64, 9, "int64", "int64", "DT_INT64", 8},
		{tensor.Bool, 10, "bool", "bool", "DT_BOOL", 1},
		{tensor.QInt8, 11, "qint8", "qint8", "DT_QINT8", 1},
		{tensor.QUint8, 12, "quint8", "quint8", "DT_QUINT8", 1},
		{tensor.QInt32, 13, "qint32", "qint32", "DT_QINT32", 4},
		{tensor.BFloat16, 14, "bfloat16", "bfloat16", "DT_BFLOAT16", 2},
		{tensor.QInt16, 15, "qint16", "qint16", "DT_QINT16", 2},
		{tensor.QUint16, 16, "quint16", "quint16", "DT_QUINT16", 2},
		{tensor.Uint16, 17, "uint16", "uint16", "DT_UINT16", 2},
		{tensor.Complex128, 18, "complex128", "complex128", "DT_COMPLEX128", 16},
		{tensor.Float16, 19, "float16", "half", "DT_HALF", 2},
		{tensor.Resource, 20, "resource", "resource", "DT_RESOURCE", 0},
		{tensor.Variant, 21, "variant", "variant", "DT_VARIANT", 0},
		{tensor.Uint32, 22, "uint32", "uint32", "DT_UINT32", 4},
		{tensor.Uint64, 23, "uint64", "uint64", "DT_UINT64", 8},
		{tensor.Float8E5M2, 24, "float8_e5m2", "float8_e5m2", "DT_FLOAT8_E5M2", 1},
		{tensor.Float8E4M3FN, 25, "float8_e4m3fn", "float8_e4m3fn", "DT_FLOAT8_E4M3FN", 1},
		{tensor.Float8E4M3FNUZ, 26, "float8_e4m3fnuz", "float8_e4m3fnuz", "DT_FLOAT8_E4M3FNUZ", 1},
		{tensor.Float8E4M3B11FNUZ, 27, "float8_e4m3b11fnuz", "float8_e4m3b11fnuz", "DT_FLOAT8_E4M3B11FNUZ", 1},
		{tensor.Float8E5M2FNUZ, 28, "float8_e5m2fnuz", "float8_e5m2fnuz", "DT_FLOAT8_E5M2FNUZ", 1},
		{tensor.Int4, 29, "int4", "int4", "DT_INT4", 1},
		{tensor.Uint4, 30, "uint4", "uint4", "DT_UINT4", 1},
		{tensor.Int2, 31, "int2", "int2", "DT_INT2", 1},
		{tensor.Uint2, 32, "uint2", "uint2", "DT_UINT2", 1},
		{tensor.Float4E2M1FN, 33, "float4_e2m1fn", "float4_e2m1fn", "DT_FLOAT4_E2M1FN", 1},
	} {
		if int32(c.d) != c.number || c.d.String() != c.name || c.d.OpName() != c.op || c.d.ProtoName() != c.proto || c.d.Size() != c.size {
			t.Errorf("got %d %s %s %s %d, want %+v", c.d, c.d, c.d.OpName(), c.d.ProtoName(), c.d.Size(), c)
		}
		if !c.d.Known() || c.d.Fixed() != (c.size > 0) {
			t.Errorf("%s: Known %v, Fixed %v", c.d, c.d.Known(), c.d.Fixed())
		}
		for _, name := range []string{c.name, c.op, c.proto} {
			if got, ok := tensor.ParseDType(name); !ok || got != c.d {
				t.Errorf("ParseDType(%q): got %s, %v", name, got, ok)
			}
		}
	}
}

func TestUnknownDTypes(t *testing.T) {
	for d, want := range map[tensor.DType]string{tensor.Invalid: "invalid", 34: "dtype(34)", 101: "dtype(101)", -1: "dtype(-1)"} {
		if d.String() != want || d.OpName() != want || d.Known() || d.Fixed() || d.Size() != 0 {
			t.Errorf("%d: got %s, known %v, size %d", int32(d), d, d.Known(), d.Size())
		}
	}
	if got, want := tensor.DType(77).ProtoName(), "DT_77"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, name := range []string{"", "invalid", "DT_INVALID", "float33", "dtype(77)"} {
		if d, ok := tensor.ParseDType(name); ok {
			t.Errorf("ParseDType(%q): got %s", name, d)
		}
	}
}
