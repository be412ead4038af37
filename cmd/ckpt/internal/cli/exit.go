package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/ckpt-go/ckpt"
)

// The exit codes, as --help lists them.
const (
	exitFine         = 0
	exitFailed       = 1
	exitUsage        = 2
	exitCorrupt      = 3
	exitNoCheckpoint = 4
)

// exitCode is the only place that decides on an exit code.
func exitCode(err error) int {
	var usage *usageError
	var key *unknownKeyError
	switch {
	case err == nil:
		return exitFine
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &key), errors.Is(err, context.Canceled):
		return exitFailed
	case errors.Is(err, ckpt.ErrCorrupt), errors.Is(err, ckpt.ErrMismatch), isMissingFile(err):
		return exitCorrupt
	case errors.Is(err, ckpt.ErrNoCheckpoint), errors.Is(err, fs.ErrNotExist):
		return exitNoCheckpoint
	}
	return exitFailed
}

// isMissingFile tells a checkpoint that lacks one of its files from a path
// where there is none.
func isMissingFile(err error) bool {
	var c *ckpt.CorruptError
	return errors.As(err, &c) && c.Kind == ckpt.KindMissing
}

// usageError says that the command line is wrong.
type usageError struct {
	message string
	hint    string
}

func (e *usageError) Error() string { return e.message }

func usage(cmd *cobra.Command, format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...), fmt.Sprintf("Try '%s --help'.", cmd.CommandPath())}
}

// unknownKeyError hides that an unknown tensor is fs.ErrNotExist, which of a
// path means that there is no checkpoint.
type unknownKeyError struct{ err error }

func (e *unknownKeyError) Error() string { return e.err.Error() }

// damagedError says that verify found problems, which are printed already.
type damagedError struct{ problems int }

func (e *damagedError) Error() string { return plural(e.problems, "problem") + " found" }

func (e *damagedError) Is(target error) bool { return target == ckpt.ErrCorrupt }
