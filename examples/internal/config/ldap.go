package config

import (
	"crypto/tls"
	"errors"
	"fmt"

	"github.com/posthouse-mail/posthouse/auth/ldapauth"
	"github.com/posthouse-mail/posthouse/directory/ldap"
)

// LDAP is a directory that speaks LDAP, under the name that other keys
// know it by.
type LDAP struct {
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

// AuthOptions say how passwords are checked.
func (c *LDAP) AuthOptions() ldapauth.Options {
	if c.Check == CheckCompare {
		return ldapauth.Options{Mode: ldapauth.Compare}
	}
	return ldapauth.Options{}
}

// The two ways to check a password.
const (
	CheckBind    = "bind"
	CheckCompare = "compare"
)

// Connector returns a connector for the configuration.
func (c *LDAP) Connector() (*ldap.Connector, error) {
	config := c.Config
	if c.BindPasswordFile != "" {
		var err error
		if config.BindPassword, err = FirstLine(c.BindPasswordFile); err != nil {
			return nil, fmt.Errorf("bind_password_file: %w", err)
		}
	}
	if c.CAFile != "" {
		roots, err := Authorities(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("ca_file: %w", err)
		}
		config.TLS = &tls.Config{RootCAs: roots}
	}
	return ldap.New(config)
}

// Validate says which keys exclude each other.
func (c *LDAP) Validate() error {
	if c.BindPassword != "" && c.BindPasswordFile != "" {
		return errors.New("bind_password and bind_password_file exclude each other")
	}
	if c.Check != "" && c.Check != CheckBind && c.Check != CheckCompare {
		return fmt.Errorf("check is %q, not \"bind\" or \"compare\"", c.Check)
	}
	return nil
}

// Hidden stands for a secret that is set, where a configuration is shown.
const Hidden = "(hidden)"

// WithoutSecrets returns a copy to be shown.
func (c *LDAP) WithoutSecrets() *LDAP {
	shown := *c
	if shown.BindPassword != "" {
		shown.BindPassword = Hidden
	}
	return &shown
}
