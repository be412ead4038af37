package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ckpt-go/ckpt"
)

// runCheckpoints is ls --checkpoints.
func runCheckpoints(ctx context.Context, s *call, dir string, level ckpt.Level) error {
	p := newProgress(s)
	o := s.verifyOptions(p)
	o.Level = level
	l, err := ckpt.ListDirectory(ctx, dir, o)
	p.clear()
	if err != nil {
		return err
	}
	if s.json {
		return s.printJSON(checkpointsDocument(dir, l))
	}
	table := &columns{right: []bool{false, true, true, false, true, false, false}}
	for i := range l.Checkpoints {
		table.add(checkpointRow(&l.Checkpoints[i])...)
	}
	if err := table.print(s.out); err != nil {
		return err
	}
	for _, problem := range l.State {
		if err := s.say("ckpt: %s", problemText(problem)); err != nil {
			return err
		}
	}
	return nil
}

func checkpointRow(c *ckpt.Listed) []string {
	row := []string{printable(c.Prefix), plural(c.Stored.Tensors, "tensor"), strconv.FormatInt(c.Stored.Bytes, 10), "-", "-", "-", strings.Join(notesOf(c), ", ")}
	if !c.Time.IsZero() {
		row[3] = c.Time.UTC().Format(time.RFC3339)
	}
	if m := c.Metadata; m != nil {
		if m.Step != nil {
			row[4] = "step " + strconv.FormatInt(*m.Step, 10)
		}
		var metrics []string
		for _, name := range slices.Sorted(maps.Keys(m.Metrics)) {
			metrics = append(metrics, fmt.Sprintf("%s %v", printable(name), m.Metrics[name]))
		}
		if len(metrics) > 0 {
			row[5] = clip(strings.Join(metrics, " "))
		}
	}
	return row
}

// notesOf says in words what is special about a checkpoint.
func notesOf(c *ckpt.Listed) (notes []string) {
	note := func(holds bool, text string) {
		if holds {
			notes = append(notes, text)
		}
	}
	note(c.Latest, "latest")
	note(!c.InState, "not in the state file")
	if m := c.Metadata; m != nil {
		note(m.Pinned, "pinned")
		note(m.Branch != "", "left for "+printable(m.Branch))
	}
	kinds := make(map[ckpt.Kind]bool)
	for _, p := range c.Problems {
		note(!kinds[p.Kind], "damaged: "+string(p.Kind))
		kinds[p.Kind] = true
	}
	return notes
}

type jsonListed struct {
	jsonPrefix
	Latest  bool `json:"latest"`
	InState bool `json:"in_state"`
	jsonListedMetadata
	Tensors  int           `json:"tensors"`
	Bytes    int64         `json:"bytes"`
	OK       bool          `json:"ok"`
	Problems []jsonProblem `json:"problems"`
}

type jsonListedMetadata struct {
	Time    *time.Time     `json:"time"`
	Step    *int64         `json:"step"`
	Metrics map[string]any `json:"metrics"`
	Pinned  bool           `json:"pinned"`
	Parent  *string        `json:"parent"`
	Branch  *string        `json:"branch"`
}

func checkpointsDocument(dir string, l *ckpt.Listing) any {
	doc := struct {
		Schema       int           `json:"schema"`
		Directory    *string       `json:"directory,omitempty"`
		DirectoryB64 *string       `json:"directory_b64,omitempty"`
		Problems     []jsonProblem `json:"problems"`
		Checkpoints  []jsonListed  `json:"checkpoints"`
	}{Schema: schema, Problems: problemsOf(l.State), Checkpoints: []jsonListed{}}
	doc.Directory, doc.DirectoryB64 = utf8Text(dir)
	for i := range l.Checkpoints {
		c := &l.Checkpoints[i]
		j := jsonListed{jsonPrefix: prefixOf(c.Prefix), Latest: c.Latest, InState: c.InState, Tensors: c.Stored.Tensors, Bytes: c.Stored.Bytes,
			OK: c.OK(), Problems: problemsOf(c.Problems)}
		j.Metrics = map[string]any{}
		if !c.Time.IsZero() {
			utc := c.Time.UTC()
			j.Time = &utc
		}
		if m := c.Metadata; m != nil {
			j.Step, j.Pinned = m.Step, m.Pinned
			j.Parent, j.Branch = orNull(m.Parent), orNull(m.Branch)
			for name, value := range m.Metrics {
				j.Metrics[name] = number(value)
			}
		}
		doc.Checkpoints = append(doc.Checkpoints, j)
	}
	return doc
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// number is a float as JSON has it: what is none is text.
func number(v float64) any {
	switch {
	case math.IsNaN(v):
		return "NaN"
	case math.IsInf(v, 1):
		return "Infinity"
	case math.IsInf(v, -1):
		return "-Infinity"
	}
	return json.Number(strconv.FormatFloat(v, 'g', -1, 64))
}
