package ckpt_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/table"
)

// withHeader gives a checkpoint's index another header.
func (s saved) withHeader(t *testing.T, change func(h *bundle.Header)) {
	t.Helper()
	old := s.file(t, s.prefix+".index")
	r, err := table.NewReader(bytes.NewReader(old), int64(len(old)), nil)
	if err != nil {
		t.Fatal(err)
	}
	var index bytes.Buffer
	w := table.NewWriter(&index, nil)
	for e, err := range r.All() {
		if err != nil {
			t.Fatal(err)
		}
		value := e.Value
		if len(e.Key) == 0 {
			h, err := bundle.DecodeHeader(value)
			if err != nil {
				t.Fatal(err)
			}
			change(&h)
			value = bundle.EncodeHeader(nil, &h)
		}
		if err := w.Add(e.Key, value); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	s.put(t, s.prefix+".index", index.Bytes())
}

// TestNewerFormat has checkpoints of a TensorFlow yet to come: those that say
// that older readers understand them are read, the others refused by version,
// and not as damaged.
func TestNewerFormat(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(h *bundle.Header)
		want   string
	}{
		{"newer producer", func(h *bundle.Header) {
			h.Producer, h.Unknown, h.UnknownVersion = 7, []byte("\x78\x01"), []byte("\x78\x02")
		}, ""},
		{"min_consumer", func(h *bundle.Header) { h.Producer, h.MinConsumer = 7, 2 }, "min consumer version 2 above current version 1: it was written by a newer TensorFlow"},
		{"bad consumer", func(h *bundle.Header) { h.Producer, h.BadConsumers = 7, []int32{1} }, "disallows consumer version 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := write(t, ckpt.New(ckpt.Objects{"v": vector(1, 2)}))
			s.withHeader(t, c.change)
			for call, err := range errorsOf(t, s.prefix, s.bucket) {
				wantError(t, call, err, c.want)
				if c.want != "" && (!errors.Is(err, errors.ErrUnsupported) || errors.Is(err, ckpt.ErrCorrupt)) {
					t.Errorf("%s: got %v, want errors.ErrUnsupported and no damage", call, err)
				}
			}
			err := ckpt.Merge(t.Context(), "out", []string{s.prefix}, &ckpt.MergeOptions{Bucket: s.bucket})
			wantError(t, "Merge", err, c.want)
			if c.want == "" {
				v := vector(0, 0)
				saved{s.bucket, "out"}.read(t, ckpt.New(ckpt.Objects{"v": v}))
				wantValues(t, "v", v, 1, 2)
			}
		})
	}
}
