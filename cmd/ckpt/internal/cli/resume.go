package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/ckpt-go/ckpt"
)

func newResume(s *call) *cobra.Command {
	return &cobra.Command{
		Use:   "resume DIR",
		Short: "Print the prefix a program would resume from",
		Long: `Print the prefix of a directory's newest good checkpoint: the one a program would
resume from. Each candidate is verified in full, the newest first; those refused are
told on standard error with the reasons.`,
		Example: `  ckpt resume model
  ckpt resume --json model | jq .refused`,
		Args: exactly("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runResume(cmd.Context(), s, args[0])
		},
	}
}

// shownProblems is how many problems of a refused checkpoint are told; verify
// lists all.
const shownProblems = 10

func runResume(ctx context.Context, s *call, dir string) error {
	p := newProgress(s)
	found, err := ckpt.FindGood(ctx, dir, s.verifyOptions(p))
	p.clear()
	if found == nil {
		return err
	}
	if found.State != nil {
		if err := s.say("ckpt: the state file cannot be used; looked at the files instead: %s", problemText(ckpt.ProblemOf(found.State))); err != nil {
			return err
		}
	}
	if s.json {
		if printErr := s.printJSON(resumeDocument(found)); printErr != nil {
			return printErr
		}
		return err
	}
	if found.Prefix != "" {
		if err := checkPlain(found.Prefix, dir); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(s.out, found.Prefix); err != nil {
			return err
		}
	}
	for _, v := range found.Refused {
		for i, problem := range v.Problems {
			if i == shownProblems {
				if err := s.say("ckpt: refused %s: … and %s", printable(v.Prefix), plural(len(v.Problems)-i, "more problem")); err != nil {
					return err
				}
				break
			}
			if err := s.say("ckpt: refused %s: %s", printable(v.Prefix), cutMiddle(problemText(problem))); err != nil {
				return err
			}
		}
	}
	return err
}

func resumeDocument(found *ckpt.Found) any {
	type refused struct {
		jsonPrefix
		Problems []jsonProblem `json:"problems"`
	}
	doc := struct {
		Schema    int       `json:"schema"`
		Prefix    *string   `json:"prefix"`
		PrefixB64 *string   `json:"prefix_b64,omitempty"`
		Refused   []refused `json:"refused"`
	}{Schema: schema, Refused: []refused{}}
	if found.Prefix != "" {
		doc.Prefix, doc.PrefixB64 = utf8Text(found.Prefix)
	}
	for _, v := range found.Refused {
		doc.Refused = append(doc.Refused, refused{prefixOf(v.Prefix), problemsOf(v.Problems)})
	}
	return doc
}
