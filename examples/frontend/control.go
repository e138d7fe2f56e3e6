package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/posthouse-mail/posthouse/listener"
	"github.com/posthouse-mail/posthouse/proxy"
	"github.com/posthouse-mail/posthouse/server"
)

// control is how an operator looks at a front end and moves users, for who is
// on this machine (see proxy.Control). At / it speaks of the map of the first
// service, at /map/NAME/ of that map; sessions, delays and health are those of
// all. At /queue/NAME it tells what waits in a queue.
func (f *frontend) control() (server.Service, error) {
	mux := http.NewServeMux()
	for _, name := range append(f.maps.Names(), "") {
		path, users := "/map/"+name, name
		if name == "" {
			path, users = "", f.config.Services[0].Map
		}
		if strings.ContainsAny(name, "/{}") {
			return nil, fmt.Errorf("the name of the map %q can't stand in a path", name)
		}
		mapper, err := f.maps.For(users)
		if err != nil {
			return nil, err
		}
		c := &proxy.Control{Front: &proxy.Front{Mapper: mapper, Sessions: &f.sessions, Health: &f.health}, Drain: f.drain}
		mux.Handle(path+"/", http.StripPrefix(path, c))
	}
	mux.Handle("GET /queue/{name}", proxy.LocalOnly(f.ofQueue((*keeper).list)))
	mux.Handle("POST /queue/{name}/retry", proxy.LocalOnly(f.ofQueue((*keeper).retry)))
	return &server.Protocol{
		Title: "control",
		Engine: func() server.Engine {
			return server.HTTP(&http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second})
		},
		Listeners: []listener.Config{{Address: f.config.Control, Limits: listener.Limits{Connections: 50}, Sockets: f.sockets}},
		Bound:     f.bind("control"),
	}, nil
}

// drain stops the front end and returns when the sessions have ended, as they
// do within the configuration's drain. The control interface goes last.
func (f *frontend) drain(ctx context.Context) error {
	f.stop()
	select {
	case <-f.drained:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// awaitDrain is the service that stops after all that have sessions.
func (f *frontend) awaitDrain(ctx context.Context, ready func()) error {
	ready()
	<-ctx.Done()
	close(f.drained)
	return nil
}

// validateControl refuses a control interface that others can reach.
func (c *Config) validateControl() error {
	if c.Control == "" {
		return nil
	}
	host, _, err := net.SplitHostPort(c.Control)
	if address, parsed := netip.ParseAddr(host); err != nil || parsed != nil || !address.IsLoopback() {
		return fmt.Errorf("control is %q, not a loopback address and a port", c.Control)
	}
	return nil
}
