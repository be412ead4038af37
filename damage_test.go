package ckpt_test

import "testing"

// flipBit changes one bit of a file; a negative offset counts from its end.
func flipBit(t *testing.T, name string, offset int, bit uint) {
	t.Helper()
	data := readFile(t, name)
	if offset < 0 {
		offset += len(data)
	}
	data[offset] ^= 1 << bit
	writeFile(t, name, data)
}
