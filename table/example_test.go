package table_test

import (
	"bytes"
	"fmt"
	"log"

	"github.com/ckpt-go/ckpt/table"
)

func Example() {
	var file bytes.Buffer
	w := table.NewWriter(&file, nil)
	for _, key := range []string{"", "step", "weights/bias", "weights/kernel"} {
		if err := w.Add([]byte(key), []byte("value of "+key)); err != nil {
			log.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		log.Fatal(err)
	}

	r, err := table.NewReader(bytes.NewReader(file.Bytes()), w.Size(), nil)
	if err != nil {
		log.Fatal(err)
	}
	it := r.Seek([]byte("weights/"))
	for ; it.Valid(); it.Next() {
		fmt.Printf("%s: %s\n", it.Key(), it.Value())
	}
	if it.Err() != nil {
		log.Fatal(it.Err())
	}
	// Output:
	// weights/bias: value of weights/bias
	// weights/kernel: value of weights/kernel
}
