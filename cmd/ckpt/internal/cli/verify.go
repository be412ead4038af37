package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ckpt-go/ckpt"
)

func newVerify(s *call) *cobra.Command {
	digests := false
	cmd := &cobra.Command{
		Use:   "verify PATH|DIR",
		Short: "Check every byte of a checkpoint, or of all in a directory",
		Long: `Read every byte of a checkpoint and compare it with its checksums; check the index
against itself and against the files, and the object graph. Of a directory all
checkpoints are verified. It exits with 3 if there is any problem.

The kinds of problems: missing, unreadable, truncated, checksum, format, entry, overlap,
graph, state, unsupported.`,
		Example: `  ckpt verify model/ckpt-3
  ckpt verify model                          # all of them
  ckpt verify --json model | jq '.checkpoints[] | select(.ok | not)'`,
		Args: exactly("PATH or DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runVerify(cmd.Context(), s, args[0], digests)
		},
	}
	cmd.Flags().BoolVar(&digests, "digests", false, "compare the SHA-256 in PATH.meta.json, too; one that is not there is a problem")
	return cmd
}

func runVerify(ctx context.Context, s *call, path string, digests bool) error {
	p := newProgress(s)
	o := s.verifyOptions(p)
	o.Digests = digests
	list, err := ckpt.VerifyAll(ctx, path, o)
	p.clear()
	if err != nil {
		return err
	}
	problems := 0
	for _, v := range list {
		problems += len(v.Problems)
	}
	if s.json {
		err = s.printJSON(verifyDocument(list, problems == 0))
	} else {
		err = printVerified(s, list)
	}
	if err == nil && problems > 0 {
		err = &damagedError{problems}
	}
	return err
}

func printVerified(s *call, list []*ckpt.Verified) error {
	for _, v := range list {
		if v.OK() {
			fmt.Fprintf(s.out, "%s: ok\n", printable(v.Prefix))
		}
		for _, p := range v.Problems {
			fmt.Fprintf(s.out, "%s: %s\n", printable(v.Prefix), problemText(p))
		}
	}
	return s.out.Flush()
}

// problemText is a problem as one line.
func problemText(p *ckpt.CorruptError) string {
	var parts []string
	if p.File != "" {
		parts = append(parts, printable(p.File))
	}
	if p.Key != "" {
		parts = append(parts, "tensor "+printable(p.Key))
	}
	if p.Offset >= 0 {
		at := fmt.Sprintf("offset %d", p.Offset)
		if p.Length >= 0 {
			at += fmt.Sprintf(" length %d", p.Length)
		}
		parts = append(parts, at)
	}
	return string(p.Kind) + ": " + strings.Join(append(parts, detail(p)), ": ")
}

func verifyDocument(list []*ckpt.Verified, ok bool) any {
	type checkpoint struct {
		jsonPrefix
		OK       bool          `json:"ok"`
		Problems []jsonProblem `json:"problems"`
	}
	doc := struct {
		Schema      int          `json:"schema"`
		OK          bool         `json:"ok"`
		Checkpoints []checkpoint `json:"checkpoints"`
	}{schema, ok, []checkpoint{}}
	for _, v := range list {
		doc.Checkpoints = append(doc.Checkpoints, checkpoint{prefixOf(v.Prefix), v.OK(), problemsOf(v.Problems)})
	}
	return doc
}
