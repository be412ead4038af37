package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/cmd/ckpt/internal/values"
	"github.com/ckpt-go/ckpt/tensor"
)

type showFlags struct{ all, raw bool }

func newShow(s *call) *cobra.Command {
	var flags showFlags
	cmd := &cobra.Command{
		Use:   "show PATH KEY",
		Short: "Print one tensor and its values",
		Long: `Print one tensor: dtype, shape, where it is stored, and its values, in the layout of
numpy. Of more than 1000 values the first and last three of each dimension are
printed, and of a string the first 1000 bytes; --all prints everything. Numbers have as
many digits as tell them from their neighbours.`,
		Example: `  ckpt show model/ckpt-3 save_counter/.ATTRIBUTES/VARIABLE_VALUE
  ckpt show --raw model w > w.bin                  # little-endian, row-major
  ckpt show --raw model _CHECKPOINTABLE_OBJECT_GRAPH | protoc --decode_raw`,
		Args: exactly("PATH", "KEY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if flags.raw && (s.json || flags.all) {
				return usage(cmd, "--raw goes with neither --json nor --all")
			}
			return runShow(cmd.Context(), s, args[0], args[1], flags)
		},
	}
	cmd.Flags().BoolVar(&flags.all, "all", false, "print all values, however many")
	cmd.Flags().BoolVar(&flags.raw, "raw", false, "write the little-endian bytes of the values and nothing else")
	return cmd
}

func runShow(ctx context.Context, s *call, path, key string, flags showFlags) error {
	r, err := ckpt.Open(ctx, path, s.openOptions())
	if err != nil {
		return err
	}
	defer r.Close()
	t, err := r.Tensor(ctx, key)
	if err != nil {
		if !r.Has(key) && !errors.Is(err, ckpt.ErrCorrupt) {
			return &unknownKeyError{err}
		}
		return err
	}
	if flags.raw {
		return writeRaw(s, key, t)
	}
	v, err := find(r, key)
	if err != nil {
		return err
	}
	elements, err := values.Of(t)
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	if s.json {
		return showJSON(s, r.Prefix(), v, elements)
	}
	showHead(s, v)
	return values.Print(s.out, elements, &values.Options{All: flags.all})
}

// find describes a tensor that exists, under the name the index has for it.
func find(r *ckpt.Reader, key string) (*ckpt.VariableInfo, error) {
	short := strings.TrimSuffix(key, ":0")
	var found *ckpt.VariableInfo
	for v, err := range r.Variables() {
		if err != nil {
			return nil, err
		}
		if v.Name == key {
			return &v, nil
		}
		if v.Name == short {
			found = &v
		}
	}
	return found, nil
}

func writeRaw(s *call, key string, t *tensor.Tensor) error {
	data := t.Bytes()
	if !t.DType().Fixed() {
		if len(t.Strings()) != 1 {
			return fmt.Errorf("%s: --raw writes numbers or one string, this is a tensor of %s", key, plural(len(t.Strings()), t.DType().String()))
		}
		data = t.Strings()[0]
	}
	_, err := s.out.Write(data)
	return err
}

func showHead(s *call, v *ckpt.VariableInfo) {
	table := &columns{right: []bool{false, false}}
	table.add("name", printable(v.Name))
	table.add("dtype", v.DType.String())
	table.add("shape", v.Shape.String())
	table.add("bytes", strconv.FormatInt(v.Bytes, 10))
	if len(v.Slices) == 0 {
		cells := placeCells(v.Shard, v.Offset, v.CRC32C)
		for i, name := range []string{"shard", "offset", "crc32c"} {
			table.add(name, cells[i])
		}
	}
	for _, p := range v.Slices {
		cells := placeCells(p.Shard, p.Offset, p.CRC32C)
		table.add("slice", fmt.Sprintf("%s  bytes %d  shard %s  offset %s  crc32c %s", sliceText(p), p.Bytes, cells[0], cells[1], cells[2]))
	}
	// An error stays in the buffered writer and comes back from the last flush.
	_ = table.print(s.out)
}

// showJSON prints the values one by one: they may be many.
func showJSON(s *call, prefix string, v *ckpt.VariableInfo, elements *values.List) error {
	head, err := marshal(struct {
		Schema int `json:"schema"`
		jsonPrefix
		jsonTensor
	}{schema, prefixOf(prefix), tensorOf(v)})
	if err != nil {
		return err
	}
	s.out.Write(bytes.TrimSuffix(layout(head), []byte("\n}")))
	s.out.WriteString(",\n  \"values\": [")
	var b []byte
	for i := range elements.Len() {
		b = b[:0]
		if i > 0 {
			b = append(b, ", "...)
		}
		if _, err := s.out.Write(elements.AppendJSON(b, i)); err != nil {
			return err
		}
	}
	_, err = s.out.WriteString("]\n}\n")
	return err
}
