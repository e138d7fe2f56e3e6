package server

import (
	"context"
	"errors"
	"net"
	"net/http"
)

// Func makes a Service of a function with the contract of Service.Run.
func Func(name string, run func(ctx context.Context, ready func()) error) Service {
	return &funcService{name, run}
}

type funcService struct {
	name string
	run  func(ctx context.Context, ready func()) error
}

func (f *funcService) Name() string { return f.name }

func (f *funcService) Run(ctx context.Context, ready func()) error { return f.run(ctx, ready) }

// HTTP makes an Engine of an http.Server.
func HTTP(s *http.Server) Engine { return httpEngine{s} }

type httpEngine struct{ *http.Server }

func (h httpEngine) Serve(ctx context.Context, l net.Listener) error {
	h.BaseContext = func(net.Listener) context.Context { return ctx }
	if err := h.Server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
