package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"time"

	"github.com/posthouse-mail/posthouse/directory"
	"github.com/posthouse-mail/posthouse/examples/internal/moving"
	"github.com/posthouse-mail/posthouse/examples/internal/socket"
	"github.com/posthouse-mail/posthouse/imap"
	"github.com/posthouse-mail/posthouse/listener"
	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/pop3"
	"github.com/posthouse-mail/posthouse/processing"
	"github.com/posthouse-mail/posthouse/server"
	"github.com/posthouse-mail/posthouse/smtp"
	"github.com/posthouse-mail/posthouse/smtp/sender"
)

// serve runs the services until ctx ends.
func (b *backend) serve(ctx context.Context, out io.Writer) error {
	flow, err := b.mailFlow()
	if err != nil {
		return err
	}
	s := &server.Server{Services: []server.Service{
		server.Func("control", socket.Serve(&moving.Handler{Store: b.store, SpoolDir: b.file("spool"), Name: b.storeName}, b.data)),
		server.Func("sending", func(ctx context.Context, ready func()) error { ready(); return flow.Run(ctx) }),
		b.service(out, "LMTP", 2524, func() server.Engine { return b.smtp(flow, smtp.LMTP) }),
		b.service(out, "IMAP", 2143, b.imap),
		b.service(out, "POP3", 2110, b.pop3),
		b.service(out, "submission", 2587, func() server.Engine { return b.smtp(flow, smtp.Submission) }),
		b.service(out, "SMTP", 2525, func() server.Engine { return b.smtp(flow, smtp.ESMTP) }),
	}}
	defer server.OnSignal(ctx, syscall.SIGHUP, "reload", func(context.Context) error { return b.certificate.Reload() }, nil)()
	return s.Run(ctx, func() { fmt.Fprintln(out, "ready") })
}

// service is an engine at a port. Its limits are for the whole of it: all
// clients come from a few addresses, those of the front ends.
func (b *backend) service(out io.Writer, title string, port int, engine func() server.Engine) server.Service {
	l := listener.Config{Address: net.JoinHostPort(b.config.Address, strconv.Itoa(port)), Limits: listener.Limits{Connections: 20000}}
	b.config.ProxyProtocol.Apply(&l)
	return &server.Protocol{
		Title: title, Engine: engine, Drain: time.Duration(b.config.Drain), Listeners: []listener.Config{l},
		Bound: func(l *listener.Listener) { fmt.Fprintf(out, "%-10s  %s\n", title, l.Addr()) },
	}
}

// mailFlow delivers to the users of this back end, sends mail for those of
// others to the front ends, and the rest to the MX hosts of its domains.
func (b *backend) mailFlow() (*processing.Processor, error) {
	rules, err := b.config.Routes(b.config.domains())
	if err != nil {
		return nil, err
	}
	return processing.New(processing.Options{
		Hostname: b.config.Hostname, Directory: b.directory, Store: b.store, Queue: b.queue,
		Sender: sender.New(sender.Options{Hostname: b.config.Hostname}), Router: rules,
	})
}

// storeName returns under which name the store has a user, also one who has gone
// to another back end, or is yet to come.
func (b *backend) storeName(ctx context.Context, name string) (string, error) {
	if accounts, ok := directory.As[directory.Accounts](b.directory); ok {
		if a, err := accounts.Account(ctx, name); !errors.Is(err, directory.ErrUnknown) {
			return a.Name, err
		}
	}
	address, err := mail.ParseAddress(name)
	return address.Key(), err
}

func (b *backend) smtp(flow *processing.Processor, p smtp.Protocol) server.Engine {
	s := &smtp.Server{
		Protocol: p, Hostname: b.config.Hostname, Handler: flow, Hooks: []smtp.Hooks{flow.Hooks()},
		TLS: b.certificate.Config("smtp"), SpoolDir: b.file("spool"), Fronts: b.config.FrontEnds.Contains,
	}
	if p == smtp.Submission {
		s.Auth, s.RequireAuth, s.PlainAuth = b.logins, true, b.plainAuth
	}
	return s
}

func (b *backend) imap() server.Engine {
	return &imap.Server{
		Store: b.store, Auth: b.logins, Hostname: b.config.Hostname, TLS: b.certificate.Config("imap"),
		PlainAuth: b.plainAuth, SpoolDir: b.file("spool"), Fronts: b.config.FrontEnds.Contains,
	}
}

func (b *backend) pop3() server.Engine {
	return &pop3.Server{
		Store: b.store, Auth: b.logins, Hostname: b.config.Hostname, TLS: b.certificate.Config("pop3"),
		PlainAuth: b.plainAuth, Fronts: b.config.FrontEnds.Contains,
	}
}

// plainAuth lets front ends send passwords without TLS, where they are told to.
func (b *backend) plainAuth(remote netip.Addr) bool { return b.config.FrontEnds.Contains(remote) }
