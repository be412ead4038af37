// Package interop_test runs real TensorFlow beside ckpt: it reads what we
// wrote, we read what it wrote, and training goes on on either side.
package interop_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/ckpt-go/ckpt/interop/python"
)

// tensorflow is the one server of this test binary.
var tensorflow python.TensorFlow

func TestMain(m *testing.M) {
	code := m.Run()
	if err := tensorflow.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}
