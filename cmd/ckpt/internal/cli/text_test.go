package cli_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ckpt-go/ckpt/cmd/ckpt/internal/cli"
)

func TestHumanBytes(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 1023: "1023 B", 1024: "1.00 KiB", 10230: "9.99 KiB", 10236: "10.0 KiB", 102347: "99.9 KiB", 102400: "100 KiB",
		1023 << 10: "1.00 MiB", 5 << 30: "5.00 GiB", 1<<63 - 1: "8.00 EiB",
	} {
		if got := cli.HumanBytes(n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
}

func TestLayout(t *testing.T) {
	for _, test := range []struct{ name, compact, want string }{
		{"fields", `{"a":1,"b":{"c":[1,2]}}`, "{\n  \"a\": 1,\n  \"b\": {\"c\": [1, 2]}\n}"},
		{"records", `{"r":[{"a":[1,2]},{"a":[]}],"b":1}`, "{\n  \"r\": [\n    {\"a\": [1, 2]},\n    {\"a\": []}\n  ],\n  \"b\": 1\n}"},
		{"no records", `{"r":[],"n":[1,2]}`, "{\n  \"r\": [],\n  \"n\": [1, 2]\n}"},
		{"strings", `{"a":"{[,:\"\\","b":"\\\""}`, "{\n  \"a\": \"{[,:\\\"\\\\\",\n  \"b\": \"\\\\\\\"\"\n}"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := string(cli.Layout([]byte(test.compact)))
			if diff := cmp.Diff(got, test.want); diff != "" {
				t.Errorf("(-got +want):\n%s", diff)
			}
			if !json.Valid([]byte(got)) {
				t.Errorf("no JSON: %s", got)
			}
		})
	}
}

func TestProgress(t *testing.T) {
	var b strings.Builder
	now := time.Unix(0, 0)
	report, clear := cli.Progress(&b, func() time.Time { return now })
	at := func(ms int, prefix string, done int64) string {
		b.Reset()
		now = time.Unix(0, 0).Add(time.Duration(ms) * time.Millisecond)
		report(prefix, done, 100<<20)
		return strings.TrimPrefix(b.String(), "\r\x1b[K")
	}
	for _, step := range []struct {
		ms     int
		prefix string
		done   int64
		want   string
	}{
		{900, "d/ckpt-1", 9 << 20, ""}, // not over a second yet
		{1000, "d/ckpt-1", 10 << 20, "d/ckpt-1: 10.0 MiB of 100 MiB, 10.0 MiB/s, 9s left"},
		{1050, "d/ckpt-1", 11 << 20, ""}, // not so soon again
		{2000, "d/ckpt-1", 100 << 20, "d/ckpt-1: 100 MiB of 100 MiB, 50.0 MiB/s"},
		{2000, "d/ckpt-2", 0, ""},
		{3000, "d/ckpt-2", 50 << 20, "d/ckpt-2: 50.0 MiB of 100 MiB, 50.0 MiB/s, 1s left"},
	} {
		if got := at(step.ms, step.prefix, step.done); got != step.want {
			t.Errorf("after %d ms: got %q, want %q", step.ms, got, step.want)
		}
	}
	b.Reset()
	clear()
	if got, want := b.String(), "\r\x1b[K"; got != want {
		t.Errorf("clear: got %q, want %q", got, want)
	}
}
