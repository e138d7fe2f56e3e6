package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/posthouse-mail/posthouse/listener"
	"github.com/posthouse-mail/posthouse/mapping"
	"github.com/posthouse-mail/posthouse/proxy"
	"github.com/posthouse-mail/posthouse/server"
)

// frontend is a serving front end. Who is connected, and which back ends
// answer, is known to all services together.
type frontend struct {
	config      *Config
	certificate *server.Certificate
	maps        *maps
	logins      *logins
	backend     proxy.Backend
	sessions    proxy.Sessions
	health      proxy.Health
	sockets     *listener.Sockets
	succeeds    bool // another process has the sockets, and queues, until this one is ready
	stop        context.CancelFunc
	drained     chan struct{} // closed when all sessions have ended

	keepers map[string]*keeper // of the queues, by name

	own   atomic.Pointer[func(host string, port int) bool] // knows the own listeners
	bound []net.Addr
	table [][2]string // what listens where, in the order of binding
}

// serve runs the front end until ctx ends.
func serve(ctx context.Context, c *Config, out io.Writer) error {
	sockets, err := listener.Inherited()
	if err != nil {
		return err
	}
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: c.LogLevel})))
	f := &frontend{config: c, logins: openLogins(c), sockets: sockets, succeeds: sockets.Succeeds(), drained: make(chan struct{}), keepers: make(map[string]*keeper)}
	f.listening(nil)
	if f.backend, err = c.Backend.backend(); err != nil {
		return fmt.Errorf("backend: %w", err)
	}
	if err := f.makeState(); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	if f.certificate, err = c.TLS.Open(c.State, c.Hostname); err != nil {
		return err
	}
	if f.maps, err = openMaps(c); err != nil {
		return err
	}
	return errors.Join(f.run(ctx, out), f.maps.Close())
}

// run serves: who looks after the front end comes first and goes last. Services
// with a queue go first: a successor waits for it.
func (f *frontend) run(ctx context.Context, out io.Writer) error {
	ctx, f.stop = context.WithCancel(ctx)
	defer f.stop()
	s := &server.Server{StopTimeout: time.Duration(f.config.Drain) + 10*time.Second}
	if f.config.Control != "" {
		control, err := f.control()
		if err != nil {
			return fmt.Errorf("control: %w", err)
		}
		s.Services = append(s.Services, control)
	}
	s.Services = append(s.Services, server.Func("maps", f.watch), server.Func("drain", f.awaitDrain))
	var queueing []server.Service
	for _, c := range f.config.Services {
		services, err := f.services(c)
		if err != nil {
			return fmt.Errorf("service %s: %w", c.Protocol, err)
		}
		if c.Queue != "" {
			queueing = append(queueing, services...)
			continue
		}
		s.Services = append(s.Services, services...)
	}
	s.Services = append(s.Services, queueing...)
	defer server.OnSignal(ctx, syscall.SIGHUP, "reload", f.reload, nil)()
	defer server.OnSignal(ctx, syscall.SIGUSR2, "upgrade", f.upgrade, nil)()
	return s.Run(ctx, func() { f.announce(out) })
}

// services are a proxy behind its listeners, and before it the queue, if it has
// one.
func (f *frontend) services(c *ServiceConfig) ([]server.Service, error) {
	protocol, _ := protocolOf(c.Protocol)
	users, err := f.maps.of(c)
	if err != nil {
		return nil, err
	}
	d := &door{frontend: f, ServiceConfig: c, protocol: protocol, front: &proxy.Front{
		Mapper: users, Sessions: &f.sessions, Health: &f.health,
		Backends: func(mapping.Route) proxy.Backend { return f.backend },
		Own:      func(host string, port int) bool { return (*f.own.Load())(host, port) },
	}}
	if d.checked, err = f.logins.of(f.config, c, f.maps); err != nil {
		return nil, err
	}
	if protocol == proxy.SMTP || protocol == proxy.LMTP {
		d.route()
	}
	p := &server.Protocol{
		Title: titles[protocol], Engine: d.engine, Drain: time.Duration(f.config.Drain),
		Listeners: c.Listeners(f.certificate.Config(alpn[protocol]), nil),
	}
	for i := range p.Listeners {
		p.Listeners[i].Sockets = f.sockets
	}
	name := titles[protocol]
	plain, secure := f.bind(name), f.bind(name+" (TLS)")
	bound := 0
	p.Bound = func(l *listener.Listener) {
		if bound++; bound > len(c.Listen) {
			secure(l)
			return
		}
		plain(l)
	}
	if d.kept != nil {
		return []server.Service{server.Func("queue "+c.Queue, d.kept.run), p}, nil
	}
	return []server.Service{p}, nil
}

// bind returns what notes a listener under a name.
func (f *frontend) bind(name string) func(*listener.Listener) {
	return func(l *listener.Listener) {
		f.table = append(f.table, [2]string{name, l.Addr().String()})
		f.listening(l.Addr())
	}
}

// listening notes an address that is listened on: no route may lead there.
func (f *frontend) listening(a net.Addr) {
	if a != nil {
		f.bound = append(f.bound, a)
	}
	own := proxy.OwnListeners(slices.Clone(f.bound)...)
	f.own.Store(&own)
}

// watch keeps maps and password files up to date until ctx ends.
func (f *frontend) watch(ctx context.Context, ready func()) error {
	ready()
	var all sync.WaitGroup
	for _, keep := range slices.Concat(f.maps.background, f.logins.background) {
		all.Go(func() { keep(ctx) })
	}
	all.Wait()
	<-ctx.Done()
	return nil
}

// reload reads user maps and the certificate again. Sessions go on.
func (f *frontend) reload(context.Context) error {
	return errors.Join(f.certificate.Reload(), f.maps.reload())
}

// announce prints what listens where, and tells a predecessor that it may go.
func (f *frontend) announce(out io.Writer) {
	t := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	for _, row := range f.table {
		fmt.Fprintf(t, "%s\t%s\n", row[0], row[1])
	}
	t.Flush()
	fmt.Fprintln(out, "ready")
	if err := f.sockets.Ready(); err != nil {
		slog.Warn("the predecessor does not hear that this process is ready", "err", err)
	}
}

// upgrade starts the program anew, as it is on the disk now, with the same
// arguments, gives it the listening sockets, and stops when it serves: who
// connects is never refused, and the sessions of this process may end in peace.
func (f *frontend) upgrade(ctx context.Context) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	successor := exec.Command(program, os.Args[1:]...)
	successor.Stdout, successor.Stderr = os.Stdout, os.Stderr
	if err := f.sockets.HandOver(ctx, successor); err != nil {
		return err
	}
	slog.InfoContext(ctx, "handed over", "pid", successor.Process.Pid)
	f.stop()
	return nil
}
