package main

import (
	"net/netip"

	"github.com/posthouse-mail/posthouse/pop3"
	"github.com/posthouse-mail/posthouse/proxy"
	"github.com/posthouse-mail/posthouse/server"
)

// titles name the services in the table of what listens where.
var titles = map[proxy.Protocol]string{proxy.IMAP: "IMAP", proxy.POP3: "POP3", proxy.ManageSieve: "ManageSieve", proxy.Submission: "submission", proxy.SMTP: "SMTP", proxy.LMTP: "LMTP"}

// alpn are the names of the protocols in TLS.
var alpn = map[proxy.Protocol]string{proxy.IMAP: "imap", proxy.POP3: "pop3", proxy.ManageSieve: "managesieve", proxy.Submission: "smtp", proxy.SMTP: "smtp", proxy.LMTP: "lmtp"}

// door is the way in to a service: what its proxy needs, whatever the protocol.
type door struct {
	*frontend
	*ServiceConfig
	protocol proxy.Protocol
	front    *proxy.Front
}

// engine makes the proxy of a protocol.
func (d *door) engine() (func() server.Engine, error) {
	checked, err := d.logins.of(d.config, d.ServiceConfig, d.maps)
	if err != nil {
		return nil, err
	}
	secure, hostname, throttle := d.certificate.Config(alpn[d.protocol]), d.config.Hostname, d.logins.throttle
	switch d.protocol {
	case proxy.POP3:
		return func() server.Engine {
			return &pop3.Proxy{Front: d.front, Auth: checked, Throttle: throttle, Hostname: hostname, TLS: secure, PlainAuth: d.plainAuth}
		}, nil
	}
	return nil, errNoProxy
}

// plainAuth says who may send passwords without TLS.
func (f *frontend) plainAuth(remote netip.Addr) bool {
	return f.config.PlaintextAuth == "loopback" && remote.IsLoopback()
}
