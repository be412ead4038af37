package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/ckpt-go/ckpt"
)

// Stdio is where a command writes.
type Stdio struct {
	Out, Err io.Writer
	// ErrIsTerminal says that a person watches Err: work that takes long shows
	// its progress there.
	ErrIsTerminal bool
}

// call is what the verbs of one run share.
type call struct {
	stdio Stdio
	out   *bufio.Writer
	json  bool
	links bool // follow links out of a checkpoint's folder
}

func (s *call) openOptions() *ckpt.OpenOptions {
	return &ckpt.OpenOptions{FollowLinks: s.links}
}

func (s *call) verifyOptions(p *progress) *ckpt.VerifyOptions {
	return &ckpt.VerifyOptions{Progress: p.report, FollowLinks: s.links}
}

// Main runs the command line args, without the program's name, and returns the
// exit code.
func Main(ctx context.Context, args []string, stdio Stdio) int {
	s := &call{stdio: stdio, out: bufio.NewWriterSize(stdio.Out, 64<<10)}
	root := newRoot(s)
	root.SetArgs(args)
	root.SetOut(s.out)
	root.SetErr(stdio.Err)
	err := root.ExecuteContext(ctx)
	if flushErr := s.out.Flush(); flushErr != nil {
		err = flushErr
	}
	s.complain(err)
	return exitCode(err)
}

// complain prints an error as one line, and how to go on after a usage error.
func (s *call) complain(err error) {
	var usage *usageError
	switch {
	case err == nil || errors.Is(err, syscall.EPIPE):
		// A reader that has seen enough, as head, is no news.
	case errors.As(err, &usage):
		fmt.Fprintf(s.stdio.Err, "ckpt: %s\n%s\n", sanitize(usage.Error()), usage.hint)
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(s.stdio.Err, "ckpt: interrupted")
	default:
		fmt.Fprintf(s.stdio.Err, "ckpt: %s\n", errorText(err))
	}
}

// errorText is an error as one line, without the names of classes, which tell a
// person nothing new.
func errorText(err error) string {
	text := strings.TrimPrefix(err.Error(), "ckpt: ")
	for _, class := range []error{fs.ErrNotExist, ckpt.ErrNoCheckpoint} {
		for _, separator := range []string{": ", "\n"} {
			text = strings.TrimSuffix(text, separator+class.Error())
		}
		text = strings.Replace(text, ": "+class.Error()+"; ", "; ", 1)
	}
	return sanitize(cutMiddle(text))
}

// say prints words for a person, after the data printed so far.
func (s *call) say(format string, args ...any) error {
	if err := s.out.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(s.stdio.Err, format+"\n", args...)
	return nil
}

const rootHelp = `ckpt looks into TensorFlow checkpoints, checks them and finds the one to go on from.
It changes nothing, but for prune and repair.

PATH is what you would type: a prefix (dir/ckpt-3), a directory (its latest
checkpoint), an .index or .data file, or a SavedModel directory.

Data goes to standard output, words to standard error. With --json the output is
one JSON document; docs/json.md describes them.

Exit codes:
  0  fine
  1  failed: unreadable, not supported, unknown tensor, interrupted
  2  wrong usage
  3  corrupt or mismatched; verify found a problem
  4  no checkpoint there`

func newRoot(s *call) *cobra.Command {
	var version bool
	root := &cobra.Command{
		Use:           "ckpt",
		Short:         "Look into TensorFlow checkpoints",
		Long:          rootHelp,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case version:
				_, err := fmt.Fprintln(s.out, versionText())
				return err
			case len(args) > 0:
				return unknownCommand(cmd, args[0])
			}
			return usage(cmd, "no command given")
		},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usage(cmd, "%s", err) })
	root.Flags().BoolVar(&version, "version", false, "print the version")
	root.PersistentFlags().BoolVar(&s.json, "json", false, "print one JSON document")
	root.PersistentFlags().BoolVar(&s.links, "follow-links", false, "follow links that lead out of a checkpoint's folder")
	root.AddCommand(newLs(s), newTree(s), newShow(s), newHash(s), newVerify(s), newLatest(s), newResume(s), newPrune(s), newRepair(s))
	root.SetHelpCommand(newHelp(root))
	return root
}

func newHelp(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Help about a command",
		RunE: func(_ *cobra.Command, args []string) error {
			cmd, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return unknownCommand(root, strings.Join(args, " "))
			}
			cmd.InitDefaultHelpFlag()
			return cmd.Help()
		},
	}
}

func unknownCommand(root *cobra.Command, name string) error {
	message := fmt.Sprintf("unknown command %q", name)
	root.SuggestionsMinimumDistance = 2
	if near := root.SuggestionsFor(name); len(near) > 0 {
		message += "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return usage(root, "%s", message)
}

// exactly makes a verb refuse any other number of arguments.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return usage(cmd, "%s needs %s", cmd.Name(), names[len(args)])
		case len(args) > len(names):
			return usage(cmd, "%s takes %s, %q is too much", cmd.Name(), strings.Join(names, " and "), args[len(names)])
		case args[0] == "":
			return usage(cmd, "%s is empty", names[0])
		}
		return nil
	}
}
