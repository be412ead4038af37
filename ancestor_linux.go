package ckpt

import (
	"bytes"
	"fmt"
	"os"
)

// isAncestor tells whether a process started this one, or what started it.
func isAncestor(pid int) bool {
	const most = 64
	at := os.Getppid()
	for range most {
		if at == pid {
			return true
		}
		if at <= 1 {
			return false
		}
		// 1234 (name, which may hold anything) S 1200 …
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", at))
		if err != nil {
			return false
		}
		var state string
		if _, err := fmt.Sscan(string(stat[bytes.LastIndexByte(stat, ')')+1:]), &state, &at); err != nil {
			return false
		}
	}
	return false
}
