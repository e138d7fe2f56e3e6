package main

import (
	"context"
	"io"
	"net/http"
)

// direct answers requests by calling a handler in this process. The answer is
// read while it is written, as from a socket.
type direct struct{ handler http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(r.Context())
	r = r.WithContext(ctx)
	if r.Body == nil {
		r.Body = http.NoBody
	}
	out, in := io.Pipe()
	a := &answer{header: make(http.Header), body: in, begun: make(chan struct{})}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		d.handler.ServeHTTP(a, r)
		a.WriteHeader(http.StatusOK)
		in.Close()
	}()
	<-a.begun
	return &http.Response{
		StatusCode: a.status, Header: a.header, Request: r,
		Body: &directBody{PipeReader: out, cancel: cancel, ended: ended},
	}, nil
}

// answer passes on what a handler writes.
type answer struct {
	header http.Header
	status int // of the first WriteHeader
	begun  chan struct{}
	body   *io.PipeWriter
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
		close(a.begun)
	}
}

func (a *answer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(p)
}

// Flush has nothing to do: a write waits for its reader.
func (a *answer) Flush() {}

// directBody is the body of an answer. Closing it waits for the handler, so
// that nothing is at work when what it works on is closed.
type directBody struct {
	*io.PipeReader
	cancel context.CancelFunc
	ended  chan struct{}
}

func (b *directBody) Close() error {
	err := b.PipeReader.Close()
	b.cancel()
	<-b.ended
	return err
}
