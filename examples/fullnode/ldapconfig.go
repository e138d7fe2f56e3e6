package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/posthouse-mail/posthouse/auth/ldapauth"
	"github.com/posthouse-mail/posthouse/directory/ldap"
)

// LDAPConfig is a directory that speaks LDAP, under the name that other keys
// know it by.
type LDAPConfig struct {
	ldap.Config
	BindPasswordFile string `toml:"bind_password_file"` // its first line is the bind_password
	CAFile           string `toml:"ca_file"`            // PEM; empty: the authorities of the system
	Check            string `toml:"check"`              // how passwords are checked: "bind", as the user, which is the default, or "compare"
	Watch            bool   `toml:"watch"`              // follow the directory's changes (syncrepl, DirSync), so that what is remembered is forgotten at once

	// Domains are local domains whose addresses the directory knows: its users
	// get mail here and log in without an account of the node's own. Empty: a
	// login makes such an account where domains.NAME.create_at_login says so.
	Domains []string `toml:"domains"`
}

// authOptions say how passwords are checked.
func (c *LDAPConfig) authOptions() ldapauth.Options {
	if c.Check == checkCompare {
		return ldapauth.Options{Mode: ldapauth.Compare}
	}
	return ldapauth.Options{}
}

// The two ways to check a password.
const (
	checkBind    = "bind"
	checkCompare = "compare"
)

// connector returns a connector for the configuration.
func (c *LDAPConfig) connector() (*ldap.Connector, error) {
	config := c.Config
	if c.BindPasswordFile != "" {
		text, err := os.ReadFile(c.BindPasswordFile)
		if err != nil {
			return nil, fmt.Errorf("bind_password_file: %w", err)
		}
		config.BindPassword, _, _ = strings.Cut(strings.TrimRight(string(text), "\r\n"), "\n")
	}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("ca_file: %w", err)
		}
		config.TLS = &tls.Config{RootCAs: x509.NewCertPool()}
		if !config.TLS.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca_file: %s holds no certificate", c.CAFile)
		}
	}
	return ldap.New(config)
}

func (c *LDAPConfig) validate() error {
	if c.BindPassword != "" && c.BindPasswordFile != "" {
		return errors.New("bind_password and bind_password_file exclude each other")
	}
	if c.Check != "" && c.Check != checkBind && c.Check != checkCompare {
		return fmt.Errorf("check is %q, not \"bind\" or \"compare\"", c.Check)
	}
	return nil
}
