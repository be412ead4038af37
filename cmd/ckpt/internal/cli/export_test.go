// Package cli, to give the tests what the command line shows only in rare runs.
package cli

import (
	"io"
	"time"
)

// ExitCode is the code of an error.
var ExitCode = exitCode

// HumanBytes and Layout are printers.
var (
	HumanBytes = humanBytes
	Layout     = layout
)

// Progress is a progress line with a clock of the caller's.
func Progress(w io.Writer, now func() time.Time) (report func(prefix string, done, total int64), clear func()) {
	p := newProgressAt(w, now)
	return p.report, p.clear
}
