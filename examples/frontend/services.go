package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/imap"
	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/managesieve"
	"github.com/posthouse-mail/posthouse/mapping"
	"github.com/posthouse-mail/posthouse/pop3"
	"github.com/posthouse-mail/posthouse/proxy"
	"github.com/posthouse-mail/posthouse/server"
	"github.com/posthouse-mail/posthouse/smtp"
)

// titles name the services in the table of what listens where, alpn their
// protocols in TLS.
var (
	titles = map[proxy.Protocol]string{proxy.IMAP: "IMAP", proxy.POP3: "POP3", proxy.ManageSieve: "ManageSieve", proxy.Submission: "submission", proxy.SMTP: "SMTP", proxy.LMTP: "LMTP"}
	alpn   = map[proxy.Protocol]string{proxy.IMAP: "imap", proxy.POP3: "pop3", proxy.ManageSieve: "managesieve", proxy.Submission: "smtp", proxy.SMTP: "smtp", proxy.LMTP: "lmtp"}
)

// door is the way in to a service: what its proxy needs, whatever the protocol.
type door struct {
	*frontend
	*ServiceConfig
	protocol proxy.Protocol
	front    *proxy.Front
	checked  auth.Authenticator // nil: the back ends check logins
	router   *smtp.Router       // of SMTP and LMTP
	kept     *keeper            // nil: there is no queue
}

// engine makes the engine of a service: the proxy of its protocol, or for mail
// to users a server that routes instead of delivering.
func (d *door) engine() server.Engine {
	secure, hostname, throttle := d.certificate.Config(alpn[d.protocol]), d.config.Hostname, d.logins.throttle
	switch d.protocol {
	case proxy.IMAP:
		return &imap.Proxy{
			Front: d.front, Auth: d.checked, Throttle: throttle, SASL: d.sasl(),
			Hostname: hostname, TLS: secure, PlainAuth: d.plainAuth, Pass: imap.PassID,
		}
	case proxy.POP3:
		return &pop3.Proxy{
			Front: d.front, Auth: d.checked, Throttle: throttle, SASL: d.sasl(),
			Hostname: hostname, TLS: secure, PlainAuth: d.plainAuth,
		}
	case proxy.ManageSieve:
		return &managesieve.Proxy{
			Front: d.front, Auth: d.checked, Throttle: throttle, SASL: d.sasl(),
			Hostname: hostname, TLS: secure, PlainAuth: d.plainAuth,
		}
	case proxy.Submission:
		return &smtp.Proxy{
			Front: d.front, Auth: d.checked, Throttle: throttle, SASL: d.sasl(),
			Hostname: hostname, TLS: secure, PlainAuth: d.plainAuth,
			Extensions: []string{"PIPELINING", "ENHANCEDSTATUSCODES", "8BITMIME", fmt.Sprintf("SIZE %d", d.config.MaxSize)},
		}
	case proxy.LMTP:
		return d.routing(smtp.LMTP)
	}
	return d.routing(smtp.ESMTP)
}

// route makes what sends mail to users on to their back ends.
func (d *door) route() {
	d.router = &smtp.Router{Front: d.front, Hostname: d.config.Hostname}
	if len(d.config.Domains) > 0 {
		d.router.Local = d.local
	}
	if d.Speak == proxy.SMTP.String() {
		d.router.Speak = func(mapping.Route) proxy.Protocol { return proxy.SMTP }
	}
	if d.Queue != "" {
		d.kept = d.keeper()
		d.keepers[d.Queue] = d.kept
	}
}

// routing is a server that takes mail to users and sends it on before it
// answers. Without a queue nothing is kept here: a message that has to wait
// waits where it comes from.
func (d *door) routing(p smtp.Protocol) *smtp.Server {
	hooks := []smtp.Hooks{d.router.Hooks()}
	if d.kept != nil {
		hooks = append([]smtp.Hooks{d.kept.hooks()}, hooks...)
	}
	s := &smtp.Server{
		Protocol: p, Handler: d.router, Hooks: hooks,
		Hostname: d.config.Hostname, TLS: d.certificate.Config(alpn[d.protocol]), SpoolDir: d.spool(),
	}
	s.Limits.MessageSize = d.config.MaxSize
	return s
}

// local says whether a domain is one of the cluster's.
func (d *door) local(_ context.Context, domain string) (bool, error) {
	return slices.ContainsFunc(d.config.Domains, func(own string) bool { return mail.DomainKey(own) == domain }), nil
}

// sasl offers the mechanisms that the configuration names.
func (d *door) sasl() auth.Policy {
	return auth.Policy{Secure: d.config.WithTLS, Plain: d.config.WithoutTLS}
}

// spool is where messages lie while they come in.
func (f *frontend) spool() string { return filepath.Join(f.config.State, "spool") }

// makeState makes the directory that is needed while the front end runs.
func (f *frontend) makeState() error { return os.MkdirAll(f.spool(), 0o700) }

// plainAuth says who may send passwords without TLS.
func (f *frontend) plainAuth(remote netip.Addr) bool {
	return f.config.PlaintextAuth == "loopback" && remote.IsLoopback()
}
