package tensor_test

import (
	"fmt"
	"log"

	"github.com/ckpt-go/ckpt/tensor"
)

func ExampleFloats() {
	half, err := tensor.New(tensor.BFloat16, tensor.Shape{3}, []byte{0xc0, 0xbf, 0x80, 0x7f, 0xcd, 0x3d})
	if err != nil {
		log.Fatal(err)
	}
	values, err := tensor.Floats[float32](half)
	fmt.Println(values, err)
	// Output: [-1.5 +Inf 0.100097656] <nil>
}

func ExampleFromFloats() {
	for _, d := range []tensor.DType{tensor.Float16, tensor.Float8E4M3FN, tensor.Float4E2M1FN, tensor.Int4} {
		v, err := tensor.FromFloats(d, tensor.Shape{2}, []float32{-1.5, 1000})
		if err != nil {
			fmt.Println(err)
			continue
		}
		stored, err := tensor.Floats[float32](v)
		fmt.Printf("%s %x %v %v\n", d, v.Bytes(), stored, err)
	}
	// Output:
	// float16 00bed063 [-1.5 1000] <nil>
	// float8_e4m3fn bc7f [-1.5 NaN] <nil>
	// float4_e2m1fn 0b07 [-1.5 6] <nil>
	// element 0: -1.5 is not in dtype int4
}

func ExampleFromInts() {
	v, err := tensor.FromInts(tensor.Int4, tensor.Shape{3}, []int64{-8, -1, 7})
	if err != nil {
		log.Fatal(err)
	}
	values, err := tensor.Ints(v)
	fmt.Printf("%x %v %v\n", v.Bytes(), values, err)
	// Output: 080f07 [-8 -1 7] <nil>
}
