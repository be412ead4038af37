package ckpt_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/tensor"
)

// What the environment tells a killed program.
const (
	killsDir  = "CKPT_KILLS_DIR"  // where it saves
	killsMode = "CKPT_KILLS_MODE" // how
	killsLast = "CKPT_KILLS_LAST" // leave after one save
	killsAll  = "CKPT_KILLS"      // how many kills in all, for a long run
)

// killsInAll is how many kills there are without CKPT_KILLS.
const killsInAll = 500

// A killMode is a way to save.
type killMode struct {
	name    string
	options ckpt.SaveOptions
	number  int64 // always this one, 0 for the next
	keep    int
}

var killModes = []killMode{
	{name: "each step", keep: 3},
	{name: "background", options: ckpt.SaveOptions{Background: true}, keep: 3},
	{name: "shards and digests", options: ckpt.SaveOptions{MaxShardSize: 30000, Digests: true}, keep: 2},
	{name: "background metadata", options: ckpt.SaveOptions{Background: true, Metadata: &ckpt.Metadata{Metrics: map[string]float64{"loss": 1}}}, keep: 1},
	{name: "over one checkpoint", number: 7, keep: 3},
}

// killable is a program whose values all tell its step, some of them large.
type killable struct {
	*ckpt.Checkpoint
	step   *ckpt.Variable[int64]
	filler *ckpt.Variable[float32]
}

func newKillable() *killable {
	k := &killable{step: ckpt.NewScalar("step", int64(0)), filler: ckpt.NewVariable[float32]("filler", tensor.Shape{20000}, nil)}
	k.Checkpoint = ckpt.New(ckpt.Objects{"step": k.step, "filler": k.filler})
	return k
}

func (k *killable) setStep(step int64) {
	k.step.Assign(step)
	data := k.filler.Data()
	for i := range data {
		data[i] = float32(step)
	}
}

func (k *killable) atStep() (int64, error) {
	for i, v := range k.filler.Data() {
		if v != float32(k.step.Value()) {
			return 0, fmt.Errorf("a mixture: step %d, element %d is %v", k.step.Value(), i, v)
		}
	}
	return k.step.Value(), nil
}

// TestKilledProgram is no test: it is the program that TestKills kills. It says
// what it does on standard output, a word and a step each line.
func TestKilledProgram(t *testing.T) {
	dir := os.Getenv(killsDir)
	if dir == "" {
		t.Skip("TestKills runs it")
	}
	mode := killModes[slices.IndexFunc(killModes, func(m killMode) bool { return m.name == os.Getenv(killsMode) })]
	if err := mode.run(dir, os.Getenv(killsLast) != ""); err != nil {
		fmt.Println("failed", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	os.Exit(0)
}

func (mode killMode) run(dir string, last bool) error {
	ctx := context.Background()
	k := newKillable()
	m, err := ckpt.NewManager(k.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: mode.keep})
	if err != nil {
		return err
	}
	r, err := m.Resume(ctx, nil)
	if err != nil {
		return err
	}
	if len(r.Refused) > 0 {
		return fmt.Errorf("refused %v", r.Refused)
	}
	step, err := k.atStep()
	if err != nil {
		return err
	}
	fmt.Println("resumed", step)
	for {
		step++
		k.setStep(step)
		fmt.Println("saving", step)
		options, saving := mode.options, step
		if options.Background {
			options.Done = func(_ string, err error) {
				if err == nil {
					fmt.Println("saved", saving)
				}
			}
		}
		if mode.number != 0 {
			_, err = m.SaveNumber(ctx, mode.number, &options)
		} else {
			_, err = m.Save(ctx, &options)
		}
		if err != nil {
			return err
		}
		if !options.Background {
			fmt.Println("saved", step)
		}
		if last {
			return m.Close()
		}
	}
}

// TestKills kills a program that saves without pause at random moments, starts
// it again, and compares what it resumed with what it had been told is saved.
func TestKills(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a killed process looks like one that ended")
	}
	total := killsInAll
	if s := os.Getenv(killsAll); s != "" {
		var err error
		if total, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	if testing.Short() || raceDetector {
		total = 10 * len(killModes)
	}
	for _, mode := range killModes {
		t.Run(mode.name, func(t *testing.T) { mode.kill(t, total/len(killModes)) })
	}
}

// history is what a parent heard.
type history struct {
	resumed, saving, saved int64
	failed                 string
}

func (h *history) hear(line string) {
	word, rest, _ := strings.Cut(line, " ")
	step, _ := strconv.ParseInt(rest, 10, 64)
	switch word {
	case "resumed":
		if step < h.saved || step > h.saving {
			h.failed = fmt.Sprintf("resumed step %d; saved %d, tried %d", step, h.saved, h.saving)
		}
		h.resumed = step
	case "saving":
		h.saving = max(h.saving, step)
	case "saved":
		h.saved = max(h.saved, step)
	case "failed":
		h.failed = rest
	}
}

func (mode killMode) kill(t *testing.T, kills int) {
	dir := filepath.Join(t.TempDir(), "checkpoints")
	h := &history{}
	var inSave, beforeResume, between int
	for n := range kills {
		h.resumed = -1
		mode.start(t, h, dir, false, time.Duration(rand.Int64N(int64(60*time.Millisecond))))
		if h.failed != "" {
			t.Fatalf("after kill %d: %s", n, h.failed)
		}
		switch {
		case h.resumed < 0:
			beforeResume++
		case h.saving > h.saved:
			inSave++
		default:
			between++
		}
	}
	t.Logf("%d kills: %d before the program had resumed, %d in a save, %d between saves; %d saves acknowledged", kills, beforeResume, inSave, between, h.saved)
	if inSave < kills/10 {
		t.Errorf("only %d of %d kills met a save", inSave, kills)
	}
	mode.start(t, h, dir, true, 0)
	if h.failed != "" {
		t.Fatalf("after the last kill: %s", h.failed)
	}
	mode.wantTidy(t, dir)
}

// start runs the program until it has resumed and some time more, or to its end.
func (mode killMode) start(t *testing.T, h *history, dir string, last bool, after time.Duration) {
	t.Helper()
	c := exec.Command(os.Args[0], "-test.run=^TestKilledProgram$")
	c.Env = append(os.Environ(), killsDir+"="+dir, killsMode+"="+mode.name)
	if last {
		c.Env = append(c.Env, killsLast+"=yes")
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	kill := func() { c.Process.Kill() }
	lines := bufio.NewScanner(out)
	if rand.IntN(10) == 0 && !last {
		time.AfterFunc(after/2, kill) // perhaps before it resumes
	}
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "resumed ") && !last {
			time.AfterFunc(after, kill)
		}
		h.hear(lines.Text())
	}
	err = c.Wait()
	if last && err != nil {
		t.Fatalf("the last run: %v", err)
	}
	if !last && c.ProcessState.ExitCode() >= 0 { // −1: by a signal
		t.Fatalf("the program ended by itself: %v, %s", c.ProcessState, h.failed)
	}
}

// wantTidy is a folder with good checkpoints, as many as are kept, and nothing else.
func (mode killMode) wantTidy(t *testing.T, dir string) {
	t.Helper()
	report, err := ckpt.VerifyDirectory(t.Context(), dir, &ckpt.VerifyOptions{Digests: mode.options.Digests})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range report {
		if !v.OK() {
			t.Errorf("%s: %v", v.Prefix, v.Problems)
		}
	}
	want := mode.keep
	if mode.number != 0 {
		want = 1
	}
	if len(report) != want {
		t.Errorf("%d checkpoints are left, want %d", len(report), want)
	}
	err = fs.WalkDir(os.DirFS(dir), ".", func(name string, e fs.DirEntry, err error) error {
		if err == nil && name != "." && (strings.HasPrefix(name, ".") || e.IsDir()) {
			err = errors.New("left behind: " + name)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
