package interop_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ckpt-go/ckpt"
)

func (r *runner) manager(op *operation) error {
	c, ok := r.checkpoints[op.Checkpoint]
	if !ok {
		return errSkip
	}
	if name, known := r.names[op.Folder]; known && name != op.Name {
		r.mixed[op.Folder] = true
	}
	r.names[op.Folder] = op.Name
	r.excuseManager(op.Folder)
	o := &ckpt.ManagerOptions{
		MaxToKeep: max(op.Keep, 0) + min(op.Keep-1, 0), // 0 is KeepAll
		KeepEvery: time.Duration(op.Hours * float64(time.Hour)), Name: op.Name,
		Now: func() time.Time { return time.UnixMicro(int64(r.clock * 1e6)) },
	}
	if err := r.hooks(op, o); err != nil {
		return err
	}
	m, err := ckpt.NewManager(c, filepath.Join(r.folder, op.Folder), o)
	if err != nil {
		return err
	}
	r.managers[op.ID], r.keep[op.ID], r.interval[op.ID] = m, op.Keep, op.Interval > 0
	r.tell(m)
	return nil
}

// hooks are what a Manager asks the program for.
func (r *runner) hooks(op *operation, o *ckpt.ManagerOptions) error {
	if op.Interval > 0 {
		step, ok := r.objects[op.Object].(ckpt.Saveable)
		if !ok {
			return errSkip
		}
		o.Interval, o.Step = op.Interval, func() int64 { return scalarOf(step) }
	}
	if op.Child != 0 {
		set, ok := r.holders[op.Child]
		if !ok {
			return errSkip
		}
		o.Init = func(context.Context) error {
			set.assign(op.Fill)
			return nil
		}
	}
	return nil
}

// scalarOf reads an int64.
func scalarOf(v ckpt.Trackable) int64 {
	switch v := v.(type) {
	case *ckpt.Variable[int64]:
		return v.Value()
	case *ckpt.RawVariable:
		return int64(binary.LittleEndian.Uint64(v.Bytes()))
	}
	panic(fmt.Sprintf("a step of type %T", v))
}

func (r *runner) excuseManager(folder string) {
	if r.mixed[folder] {
		r.excuse("other name")
	}
	if r.backward {
		r.excuse("clock")
	}
}

func (r *runner) tell(m *ckpt.Manager) {
	r.out.Latest = r.short(m.Latest())
	var short []string
	for _, path := range m.Checkpoints() {
		short = append(short, r.short(path))
	}
	r.out.Checkpoints = strings.Join(short, "\n")
}

func (r *runner) managerSave(op *operation) error {
	m, ok := r.managers[op.Manager]
	if !ok || r.interval[op.Manager] != (op.Op == "due") {
		return errSkip // see "due" of differentialDeviations
	}
	r.excuseManager(filepath.Base(m.Directory()))
	before := m.Checkpoint().SaveCounter()
	var path string
	var err error
	switch {
	case op.Op == "due":
		path, err = m.SaveIfDue(r.ctx, op.options())
	case op.Number == nil:
		path, err = m.Save(r.ctx, op.options())
	default:
		path, err = m.SaveNumber(r.ctx, *op.Number, op.options())
	}
	if err == nil {
		err = m.Wait(r.ctx)
	}
	if err != nil {
		r.out.final = true
		return err
	}
	if path == "" {
		r.out.Path = r.short(path)
		return nil
	}
	if after := m.Checkpoint().SaveCounter(); after > before+1 {
		r.excuse("number")
	}
	if keep := r.keep[op.Manager]; keep > 0 && len(m.Checkpoints()) > keep && r.waits(m.Checkpoints()) {
		r.excuse("waiting")
	}
	r.saved[op.ID], r.out.Path = path, r.short(path)
	r.tell(m)
	return nil
}

// waits tells whether values from one of some checkpoints wait, as far as is
// known.
func (r *runner) waits(paths []string) bool {
	for _, path := range r.initialized {
		if slices.Contains(paths, path) {
			return true
		}
	}
	for _, s := range r.statuses {
		if len(s.Waiting()) > 0 && slices.Contains(paths, s.Prefix()) {
			return true
		}
	}
	return false
}

func (r *runner) initialize(op *operation) error {
	m, ok := r.managers[op.Manager]
	if !ok {
		return errSkip
	}
	r.takeOver(m.Checkpoint())
	path, err := m.RestoreOrInitialize(r.ctx)
	if err != nil {
		return r.refused(m.Latest(), err)
	}
	r.initialized = append(r.initialized, path)
	r.out.Path = r.short(path)
	r.tell(m)
	return nil
}

func (r *runner) latest(op *operation) error {
	folder := filepath.Join(r.folder, op.Folder)
	path, err := ckpt.Latest(r.ctx, folder, nil)
	if err != nil && !errors.Is(err, ckpt.ErrNoCheckpoint) {
		return err
	}
	r.out.Latest = r.short(path)
	state, err := ckpt.ReadState(r.ctx, folder, nil)
	if err != nil {
		if errors.Is(err, ckpt.ErrNoCheckpoint) {
			return nil
		}
		return err
	}
	short := []string{r.short(state.Latest)}
	for _, path := range state.All {
		short = append(short, r.short(path))
	}
	r.out.State = strings.Join(short, "\n")
	return nil
}
