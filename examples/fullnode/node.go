package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/examples/internal/config"
	"github.com/posthouse-mail/posthouse/examples/internal/datadir"
	"github.com/posthouse-mail/posthouse/examples/internal/socket"
	"github.com/posthouse-mail/posthouse/imap"
	"github.com/posthouse-mail/posthouse/listener"
	"github.com/posthouse-mail/posthouse/pop3"
	"github.com/posthouse-mail/posthouse/processing"
	"github.com/posthouse-mail/posthouse/server"
	"github.com/posthouse-mail/posthouse/smtp"
)

// node is a serving node: the open data directory and what is served from it.
type node struct {
	*opened
	config      *Config
	certificate *server.Certificate
	processor   *processing.Processor
	metrics     *metrics
	sasl        auth.Policy
	table       [][2]string // what listens where, in the order of binding
}

// serve runs the node until ctx ends.
func serve(ctx context.Context, c *Config, data string, out io.Writer) error {
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: c.LogLevel})))
	lock, err := datadir.Lock(data)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := os.MkdirAll(lock.File("spool"), 0o700); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	o, err := openData(c, lock)
	if err != nil {
		return err
	}
	n := &node{opened: o, config: c}
	if n.certificate, err = c.TLS.Open(data, c.Hostname); err == nil {
		n.sasl, err = saslPolicy(c, lock)
	}
	if err == nil {
		err = firstStart(ctx, c, o, out)
	}
	if err == nil {
		err = n.run(ctx, out)
	}
	return errors.Join(err, o.Close())
}

// run serves: storage is open already, so what writes to it starts first and
// what strangers reach starts last.
func (n *node) run(ctx context.Context, out io.Writer) error {
	n.metrics = newMetrics(n.opened)
	var err error
	if n.processor, err = n.newProcessor(); err != nil {
		return err
	}
	s := &server.Server{Services: []server.Service{
		server.Func("logins", n.logins.run),
		server.Func("control", socket.Serve(newControl(n.opened), n.data.File())),
		server.Func("sending", func(ctx context.Context, ready func()) error {
			ready()
			return n.processor.Run(ctx)
		}),
		n.service("LMTP", &n.config.LMTP, n.lmtp, "lmtp"),
		n.service("IMAP", &n.config.IMAP, n.imap, "imap"),
		n.service("POP3", &n.config.POP3, n.pop3, "pop3"),
		n.service("submission", &n.config.Submission, n.submission, "smtp"),
		n.service("SMTP", &n.config.SMTP, n.smtp, "smtp"),
		n.service("HTTP", &n.config.HTTP, n.http, "http/1.1"),
	}}
	stop := server.OnSignal(ctx, syscall.SIGHUP, "reload", n.reload, nil)
	defer stop()
	return s.Run(ctx, func() { n.announce(out) })
}

// service is a protocol engine behind the listeners that are configured.
func (n *node) service(title string, c *config.Service, engine func() server.Engine, alpn string) server.Service {
	if len(c.Listen)+len(c.ListenTLS) == 0 {
		return server.Func(title, func(ctx context.Context, ready func()) error { ready(); <-ctx.Done(); return nil })
	}
	fronts := n.config.TrustedFrontEnds
	if c == &n.config.HTTP {
		fronts = nil
	}
	p := &server.Protocol{
		Title: title, Engine: engine, Drain: time.Duration(n.config.Drain), Listeners: c.Listeners(n.certificate.Config(alpn), fronts),
	}
	bound := 0
	p.Bound = func(l *listener.Listener) {
		name := title
		if bound++; bound > len(c.Listen) {
			name += " (TLS)"
		}
		n.table = append(n.table, [2]string{name, l.Addr().String()})
	}
	return p
}

func (n *node) smtp() server.Engine { return n.smtpServer(smtp.ESMTP) }

func (n *node) lmtp() server.Engine { return n.smtpServer(smtp.LMTP) }

func (n *node) submission() server.Engine {
	s := n.smtpServer(smtp.Submission)
	s.RequireAuth = true
	return s
}

func (n *node) smtpServer(p smtp.Protocol) *smtp.Server {
	s := &smtp.Server{
		Protocol: p,
		Hostname: n.config.Hostname,
		Handler:  n.processor,
		Hooks:    []smtp.Hooks{n.metrics.smtpHooks(), n.processor.Hooks()},
		TLS:      n.certificate.Config("smtp"),
		SpoolDir: n.data.File("spool"),
		Fronts:   n.config.TrustedFrontEnds.Contains,
	}
	s.Limits.MessageSize = n.config.Message.MaxSize
	if p != smtp.LMTP {
		s.PlainAuth, s.SASL = n.plainAuth, n.sasl
		s.Auth = n.loginsOf(&n.config.SMTP)
		if p == smtp.Submission {
			s.Auth = n.loginsOf(&n.config.Submission)
		}
	}
	return s
}

func (n *node) imap() server.Engine {
	s := &imap.Server{
		Store: n.store, Auth: n.loginsOf(&n.config.IMAP), Hostname: n.config.Hostname, TLS: n.certificate.Config("imap"),
		PlainAuth: n.plainAuth, SASL: n.sasl, SpoolDir: n.data.File("spool"),
		Namespaces: namespaces, Access: access{n.opened}, Fronts: n.config.TrustedFrontEnds.Contains,
	}
	s.Limits.AppendSize = n.config.Message.MaxSize
	return s
}

func (n *node) pop3() server.Engine {
	return &pop3.Server{
		Store: n.store, Auth: n.loginsOf(&n.config.POP3), Hostname: n.config.Hostname, TLS: n.certificate.Config("pop3"),
		PlainAuth: n.plainAuth, SASL: n.sasl, Fronts: n.config.TrustedFrontEnds.Contains,
	}
}

// loginsOf returns who checks the logins of a service.
func (n *node) loginsOf(s *config.Service) auth.Authenticator {
	return n.logins.of(n.config.sources(s))
}

// http serves health and metrics.
func (n *node) http() server.Engine {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.Handle("GET /metrics", n.metrics.handler())
	return server.HTTP(&http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10})
}

// plainAuth says who may send passwords without TLS.
func (n *node) plainAuth(remote netip.Addr) bool {
	return n.config.PlaintextAuth == "loopback" && remote.IsLoopback()
}

// announce prints what listens where.
func (n *node) announce(out io.Writer) {
	t := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	for _, row := range n.table {
		fmt.Fprintf(t, "%s\t%s\n", row[0], row[1])
	}
	t.Flush()
	if n.config.PlaintextAuth == "loopback" {
		fmt.Fprintln(out, "passwords without TLS: accepted from loopback only (plaintext_auth)")
	} else {
		fmt.Fprintln(out, "passwords without TLS: never (plaintext_auth)")
	}
	fmt.Fprintln(out, "ready")
}

// reload reads the certificate again.
func (n *node) reload(ctx context.Context) error {
	if err := n.certificate.Reload(); err != nil {
		return err
	}
	slog.InfoContext(ctx, "reloaded")
	return nil
}
