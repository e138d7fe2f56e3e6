package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/auth/gssapi"
	"github.com/posthouse-mail/posthouse/auth/oauth"
	"github.com/posthouse-mail/posthouse/auth/passwdfile"
)

// AuthConfig says where logins are checked, unless a service says otherwise,
// and how clients may log in.
type AuthConfig struct {
	Sources []string `toml:"sources"` // "accounts", "ldap:NAME", "file:PATH", "oauth:NAME"; asked in order

	// Mechanisms that are offered with TLS and without; absent: all that the
	// sources can serve, but CRAM-MD5 and DIGEST-MD5.
	WithTLS    []string `toml:"mechanisms_with_tls"`
	WithoutTLS []string `toml:"mechanisms_without_tls"`

	Keytab string            `toml:"keytab"` // for GSSAPI; empty: it is not offered
	Realms map[string]string `toml:"realms"` // of Kerberos, and the domains of their users
}

// OAuthConfig is an issuer of tokens, which OAUTHBEARER and XOAUTH2 show.
type OAuthConfig struct {
	Issuer    string   `toml:"issuer"` // URL, as it stands in the tokens
	Audiences []string `toml:"audiences"`
	Scopes    []string `toml:"scopes"`
	Claim     string   `toml:"claim"` // that names the account; empty: email

	IntrospectionURL string `toml:"introspection_url"` // empty: tokens are JWTs, whose keys the issuer tells
	ClientID         string `toml:"client_id"`
	ClientSecret     string `toml:"client_secret"`
}

// fileEvery is how often it is looked whether a file has changed.
const fileEvery = 2 * time.Second

// passwordFile opens a file of names and passwords, and reads it again when it
// has changed.
func (l *logins) passwordFile(path, domain string) (auth.Authenticator, error) {
	file, err := passwdfile.Open(path, passwdfile.Options{Domain: domain})
	if err == nil {
		l.background = append(l.background, func(ctx context.Context) { file.Watch(ctx, fileEvery, slog.Default()) })
	}
	return file, err
}

// issuer takes the tokens of an issuer.
func (l *logins) issuer(o *opened, c *OAuthConfig) (auth.Authenticator, error) {
	rules := oauth.Rules{Issuer: c.Issuer, Audiences: c.Audiences, Scopes: c.Scopes, Claim: c.Claim, Accounts: o.directory}
	var a *oauth.Authenticator
	var err error
	if c.IntrospectionURL != "" {
		a, err = oauth.NewIntrospection(oauth.Introspection{URL: c.IntrospectionURL, ClientID: c.ClientID, ClientSecret: c.ClientSecret}, rules)
	} else {
		a, err = oauth.NewJWT(oauth.JWT{}, rules)
	}
	if err == nil {
		l.closers = append(l.closers, a)
	}
	return a, err
}

// withTickets adds GSSAPI where there is a keytab. A ticket is good for the
// node's own account of its principal.
func (l *logins) withTickets(o *opened, c *Config, next auth.Authenticator) (auth.Authenticator, error) {
	if c.Auth.Keytab == "" {
		return next, nil
	}
	tickets := gssapi.Accounts(o.directory, c.Auth.Realms)
	a, err := gssapi.New(auth.Chain(next, tickets), gssapi.Options{Keytab: c.Auth.Keytab})
	if err == nil {
		l.background = append(l.background, func(ctx context.Context) { a.Watch(ctx, fileEvery, slog.Default()) })
	}
	return a, err
}

func (c *Config) validateAuth() error {
	for name, l := range c.LDAP {
		if err := l.Validate(); err != nil {
			return fmt.Errorf("ldap.%s: %w", name, err)
		}
	}
	for _, s := range c.services() {
		if slices.Contains(c.sources(s.config), "") || len(c.sources(s.config)) == 0 {
			return fmt.Errorf("%s: no source of logins", s.name)
		}
	}
	return nil
}
