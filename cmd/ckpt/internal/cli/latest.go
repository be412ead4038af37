package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/ckpt-go/ckpt"
)

func newLatest(s *call) *cobra.Command {
	return &cobra.Command{
		Use:   "latest DIR",
		Short: "Print the prefix of a directory's latest checkpoint",
		Long: `Print the prefix of a directory's latest checkpoint by its state file, as
tf.train.latest_checkpoint does. Nothing of the checkpoint itself is read; resume
does, and looks for an older one where the latest is damaged.`,
		Example: `  ckpt latest model
  ckpt ls "$(ckpt latest model)"`,
		Args: exactly("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			prefix, err := ckpt.Latest(cmd.Context(), args[0], nil)
			if err != nil {
				return err
			}
			if s.json {
				return s.printJSON(struct {
					Schema int `json:"schema"`
					jsonPrefix
				}{schema, prefixOf(prefix)})
			}
			// As it is, for the use of scripts.
			if err := checkPlain(prefix, args[0]); err != nil {
				return err
			}
			_, err = fmt.Fprintln(s.out, prefix)
			return err
		},
	}
}
