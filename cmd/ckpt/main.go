// Command ckpt looks into TensorFlow checkpoints, checks them and finds the one
// to go on from. Run `ckpt --help` for its verbs and exit codes.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/ckpt-go/ckpt/cmd/ckpt/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal asks to stop; a second one finds no handler any more and ends
	// the process at once.
	context.AfterFunc(ctx, stop)
	os.Exit(cli.Main(ctx, os.Args[1:], cli.Stdio{Out: os.Stdout, Err: os.Stderr, ErrIsTerminal: isTerminal(os.Stderr)}))
}

// isTerminal is also true of other character devices such as /dev/null, where
// a progress line does no harm.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
