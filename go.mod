module github.com/ckpt-go/ckpt

go 1.26
