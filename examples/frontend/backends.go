package main

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"net/netip"
	"time"

	"github.com/posthouse-mail/posthouse/examples/internal/config"
	"github.com/posthouse-mail/posthouse/mapping"
	"github.com/posthouse-mail/posthouse/proxy"
)

// BackendConfig says how back ends are reached. Every key is optional.
type BackendConfig struct {
	TLS     string       `toml:"tls"`     // where a route says nothing: "start", which is the default, "implicit" or "none"
	CAFile  string       `toml:"ca_file"` // PEM; empty: the authorities of the system
	Pins    []string     `toml:"pins"`    // SHA-256 of public keys, in hexadecimal; with these no chain and no name is verified
	Sources []netip.Addr `toml:"sources"` // source addresses, used in turn; empty: the system chooses

	// Tell is what back ends are told of a client, if they trust this front end:
	// "proxy" (a PROXY header, which every listener of theirs must expect), "id"
	// (IMAP), "xclient" (POP3, SMTP, ManageSieve).
	Tell []string `toml:"tell"`

	// MasterUser logs in at the back ends in the users' names, after they have
	// logged in here: the services need auth.
	MasterUser         string `toml:"master_user"`
	MasterPasswordFile string `toml:"master_password_file"` // its first line

	Connections int             `toml:"max_connections"` // at the same time, to one host; 0: no limit
	Queue       config.Duration `toml:"queue"`           // how long a login waits for one of them; 0: 2s
	Connect     config.Duration `toml:"connect"`         // for connecting, TLS and the login together; 0: 10s
	ReadWrite   config.Duration `toml:"read_write"`      // a transfer may stand still, and a host be silent that has vanished; 0: 400s
	Idle        config.Duration `toml:"idle"`            // nothing may happen at all, in IDLE for instance; 0: 31m
}

var tells = map[string]proxy.Tell{"proxy": proxy.TellPROXY, "id": proxy.TellID, "xclient": proxy.TellXCLIENT}

var tlsModes = map[string]mapping.TLSMode{"": mapping.TLSDefault, "none": mapping.TLSNone, "start": mapping.TLSStart, "implicit": mapping.TLSImplicit}

// backend reads what is named in files and returns how back ends are reached.
func (c *BackendConfig) backend() (proxy.Backend, error) {
	b := proxy.Backend{
		Sources: c.Sources, MasterUser: c.MasterUser, Connections: c.Connections,
		Queue: time.Duration(c.Queue), Connect: time.Duration(c.Connect), ReadWrite: time.Duration(c.ReadWrite), Idle: time.Duration(c.Idle),
	}
	mode, ok := tlsModes[c.TLS]
	if !ok {
		return b, fmt.Errorf("tls is %q, not \"start\", \"implicit\" or \"none\"", c.TLS)
	}
	b.TLS = mode
	for _, name := range c.Tell {
		if tells[name] == 0 {
			return b, fmt.Errorf("tell holds %q, not \"proxy\", \"id\" or \"xclient\"", name)
		}
		b.Tell |= tells[name]
	}
	for _, text := range c.Pins {
		pin, err := hex.DecodeString(text)
		if err != nil || len(pin) != sha256.Size {
			return b, fmt.Errorf("pins holds %q, not 64 hexadecimal digits", text)
		}
		b.Pins = append(b.Pins, [sha256.Size]byte(pin))
	}
	var err error
	if b.MasterPassword, err = config.FirstLine(c.MasterPasswordFile); err != nil {
		return b, fmt.Errorf("master_password_file: %w", err)
	}
	if c.CAFile != "" {
		roots, err := config.Authorities(c.CAFile)
		if err != nil {
			return b, fmt.Errorf("ca_file: %w", err)
		}
		b.TLSConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(0)}
	}
	return b, nil
}
