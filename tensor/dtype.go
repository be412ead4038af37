package tensor

import (
	"fmt"
	"strings"
)

// DType is the type of a tensor's elements. The numbers are TensorFlow's
// DataType (core/framework/types.proto); they are written to files and never
// change. The zero value is Invalid.
type DType int32

// The dtypes TensorFlow knows. Those from Float8E5M2 on exist in newer
// versions of TensorFlow only.
const (
	Invalid           DType = 0
	Float32           DType = 1
	Float64           DType = 2
	Int32             DType = 3
	Uint8             DType = 4
	Int16             DType = 5
	Int8              DType = 6
	String            DType = 7
	Complex64         DType = 8
	Int64             DType = 9
	Bool              DType = 10
	QInt8             DType = 11
	QUint8            DType = 12
	QInt32            DType = 13
	BFloat16          DType = 14
	QInt16            DType = 15
	QUint16           DType = 16
	Uint16            DType = 17
	Complex128        DType = 18
	Float16           DType = 19
	Resource          DType = 20
	Variant           DType = 21
	Uint32            DType = 22
	Uint64            DType = 23
	Float8E5M2        DType = 24
	Float8E4M3FN      DType = 25
	Float8E4M3FNUZ    DType = 26
	Float8E4M3B11FNUZ DType = 27
	Float8E5M2FNUZ    DType = 28
	Int4              DType = 29
	Uint4             DType = 30
	Int2              DType = 31
	Uint2             DType = 32
	Float4E2M1FN      DType = 33
)

// dtypes describes each dtype: its Python name, its C++ name where that
// differs, its enum name, and the bytes one element takes in a file.
var dtypes = [...]struct {
	name, op, proto string
	size            int
}{
	Invalid:           {"invalid", "", "DT_INVALID", 0},
	Float32:           {"float32", "float", "DT_FLOAT", 4},
	Float64:           {"float64", "double", "DT_DOUBLE", 8},
	Int32:             {"int32", "", "DT_INT32", 4},
	Uint8:             {"uint8", "", "DT_UINT8", 1},
	Int16:             {"int16", "", "DT_INT16", 2},
	Int8:              {"int8", "", "DT_INT8", 1},
	String:            {"string", "", "DT_STRING", 0},
	Complex64:         {"complex64", "", "DT_COMPLEX64", 8},
	Int64:             {"int64", "", "DT_INT64", 8},
	Bool:              {"bool", "", "DT_BOOL", 1},
	QInt8:             {"qint8", "", "DT_QINT8", 1},
	QUint8:            {"quint8", "", "DT_QUINT8", 1},
	QInt32:            {"qint32", "", "DT_QINT32", 4},
	BFloat16:          {"bfloat16", "", "DT_BFLOAT16", 2},
	QInt16:            {"qint16", "", "DT_QINT16", 2},
	QUint16:           {"quint16", "", "DT_QUINT16", 2},
	Uint16:            {"uint16", "", "DT_UINT16", 2},
	Complex128:        {"complex128", "", "DT_COMPLEX128", 16},
	Float16:           {"float16", "half", "DT_HALF", 2},
	Resource:          {"resource", "", "DT_RESOURCE", 0},
	Variant:           {"variant", "", "DT_VARIANT", 0},
	Uint32:            {"uint32", "", "DT_UINT32", 4},
	Uint64:            {"uint64", "", "DT_UINT64", 8},
	Float8E5M2:        {"float8_e5m2", "", "DT_FLOAT8_E5M2", 1},
	Float8E4M3FN:      {"float8_e4m3fn", "", "DT_FLOAT8_E4M3FN", 1},
	Float8E4M3FNUZ:    {"float8_e4m3fnuz", "", "DT_FLOAT8_E4M3FNUZ", 1},
	Float8E4M3B11FNUZ: {"float8_e4m3b11fnuz", "", "DT_FLOAT8_E4M3B11FNUZ", 1},
	Float8E5M2FNUZ:    {"float8_e5m2fnuz", "", "DT_FLOAT8_E5M2FNUZ", 1},
	Int4:              {"int4", "", "DT_INT4", 1},
	Uint4:             {"uint4", "", "DT_UINT4", 1},
	Int2:              {"int2", "", "DT_INT2", 1},
	Uint2:             {"uint2", "", "DT_UINT2", 1},
	Float4E2M1FN:      {"float4_e2m1fn", "", "DT_FLOAT4_E2M1FN", 1},
}

// Known reports whether d is one of the constants other than Invalid.
func (d DType) Known() bool { return d > Invalid && int(d) < len(dtypes) }

// Fixed reports whether every element takes the same number of bytes:
// everything except String, Variant, Resource and unknown numbers.
func (d DType) Fixed() bool { return d.Size() > 0 }

// Size returns the bytes one element takes in a file, 0 for String, Variant,
// Resource and unknown numbers.
func (d DType) Size() int {
	if !d.Known() {
		return 0
	}
	return dtypes[d].size
}

// String returns the name of tf.DType.name, such as "float32" or "bfloat16".
// Unknown numbers read "dtype(77)".
func (d DType) String() string {
	if d != Invalid && !d.Known() {
		return fmt.Sprintf("dtype(%d)", int32(d))
	}
	return dtypes[d].name
}

// OpName returns the name TensorFlow's C++ messages use (DataTypeString), such
// as "float", "double" or "half".
func (d DType) OpName() string {
	if d.Known() && dtypes[d].op != "" {
		return dtypes[d].op
	}
	return d.String()
}

// ProtoName returns the name of the enum value in types.proto, such as
// "DT_FLOAT".
func (d DType) ProtoName() string {
	if d != Invalid && !d.Known() {
		return fmt.Sprintf("DT_%d", int32(d))
	}
	return dtypes[d].proto
}

// ParseDType finds the dtype by any of its three names: "float32", "float" or
// "DT_FLOAT". Upper and lower case do not matter.
func ParseDType(name string) (DType, bool) {
	for d := Float32; int(d) < len(dtypes); d++ {
		for _, known := range [...]string{d.String(), d.OpName(), d.ProtoName()} {
			if strings.EqualFold(name, known) {
				return d, true
			}
		}
	}
	return Invalid, false
}
