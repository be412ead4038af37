package ckpt

import (
	"bytes"
	"fmt"
	"os"
)

// isAncestor tells whether a process started the parent, or what started that. PID 1
// is none: any process on the way may be an orphan that it adopted.
func isAncestor(pid int) bool {
	const most = 64
	at := parent
	for range most {
		if at <= 1 {
			return false
		}
		if at == pid {
			return true
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
