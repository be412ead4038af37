// Package tensor holds the values of a checkpoint: a dtype, a shape and raw
// little-endian row-major bytes, or a list of byte strings.
//
// A [DType] is TensorFlow's number for an element type (tf.DType), a [Shape]
// the sizes of the dimensions (tf.TensorShape), a [Tensor] both with the bytes.
// The small float and integer types are stored as bit patterns: one byte each
// for the float8 kinds, int4, uint4, int2, uint2 and float4_e2m1fn, two for
// float16 and bfloat16. [Floats], [FromFloats], [Ints] and [FromInts] convert
// them. Nothing in this package does I/O.
//
//	t, err := tensor.Of(tensor.Shape{2, 3}, []float32{1, 2, 3, 4, 5, 6})
//	values, err := tensor.Values[float32](t)
//	half, err := tensor.FromFloats(tensor.Float16, tensor.Shape{2, 3}, values)
package tensor
