package ldap

import (
	"errors"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// endpoint is where a server listens.
type endpoint struct {
	uri              string // as it was configured
	network, address string // as package net wants them
	host             string // that a certificate must be for
	implied          bool   // TLS from the first octet
}

// local reports whether nothing leaves the machine.
func (e endpoint) local() bool { return e.network == "unix" }

func parseURI(uri string) (endpoint, error) {
	if path, ok := strings.CutPrefix(uri, "ldapi://"); ok {
		return parseLocal(uri, path)
	}
	u, err := url.Parse(uri)
	if err != nil {
		return endpoint{}, errors.New("is no URI")
	}
	e, port := endpoint{uri: uri, network: "tcp", host: u.Hostname()}, "389"
	switch u.Scheme {
	case "ldap":
	case "ldaps":
		e.implied, port = true, "636"
	default:
		return e, errors.New("does not begin with ldap://, ldaps:// or ldapi://")
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path != "" && u.Path != "/" {
		return e, errors.New("has more than a host and a port")
	}
	if e.host == "" {
		return e, errors.New("names no host")
	}
	if u.Port() != "" {
		if n, err := strconv.Atoi(u.Port()); err != nil || n < 1 || n > 65535 {
			return e, errors.New("has a port that is not between 1 and 65535")
		}
		port = u.Port()
	}
	e.address = net.JoinHostPort(e.host, port)
	return e, nil
}

// parseLocal reads "ldapi:///run/ldapi" or "ldapi://%2Frun%2Fldapi".
func parseLocal(uri, path string) (endpoint, error) {
	if !strings.HasPrefix(path, "/") {
		path = strings.TrimSuffix(path, "/")
	}
	path, err := url.PathUnescape(path)
	if err != nil || !strings.HasPrefix(path, "/") || len(path) < 2 {
		return endpoint{}, errors.New("names no socket by its whole path")
	}
	return endpoint{uri: uri, network: "unix", address: path}, nil
}
