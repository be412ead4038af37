package ckpt_test

import (
	"context"
	"fmt"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/storage/mem"
)

// A layer has another name and another precision than when it was saved.
func ExampleCheckpoint_Restore_renamed() {
	ctx, bucket := context.Background(), mem.New()
	old := ckpt.New(ckpt.Objects{"encoder": ckpt.NewVariable("w", []int64{2}, []float64{1.5, 2})})
	prefix, _ := old.Save(ctx, "ckpt", &ckpt.SaveOptions{Bucket: bucket})

	weights := ckpt.NewVariable("w", []int64{2}, []float32{0, 0})
	checkpoint := ckpt.New(ckpt.Objects{"enc": weights})
	status, err := checkpoint.Restore(ctx, prefix, &ckpt.RestoreOptions{
		Bucket: bucket,
		Rename: map[string]string{"(root).encoder": "(root).enc"},
		Cast:   true,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(weights.Data(), status.CheckConsumed())
	// Output: [1.5 2] <nil>
}

// What differs between a checkpoint and a program, before anything is restored.
func ExampleView_Diff() {
	ctx, bucket := context.Background(), mem.New()
	old := ckpt.New(ckpt.Objects{"encoder": ckpt.NewVariable[float32]("w", []int64{2}, nil), "step": ckpt.NewScalar("step", int64(7))})
	prefix, _ := old.Write(ctx, "ckpt", &ckpt.SaveOptions{Bucket: bucket})

	r, err := ckpt.Open(ctx, prefix, &ckpt.OpenOptions{Bucket: bucket})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close()
	view, err := r.View(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	diff, err := view.Diff(ctx, ckpt.New(ckpt.Objects{"enc": ckpt.NewVariable[float32]("w", []int64{2}, nil), "step": ckpt.NewScalar("step", int32(0))}))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(diff)
	// Output:
	// 2 objects of program and checkpoint match
	// differs: step/.ATTRIBUTES/VARIABLE_VALUE: the program has int32 [], the checkpoint has int64 []: expected dtype int32 does not equal original dtype int64 (the option Cast would convert it)
	// missing in the checkpoint: (root).enc
	// missing in the program: (root).encoder
	// likely renamed: (root).encoder is (root).enc now
}
