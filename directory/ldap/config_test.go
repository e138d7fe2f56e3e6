package ldap

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestEachMistakeInAConfigurationIsSaidInOneSentence(t *testing.T) {
	for sentence, spoil := range map[string]func(*Config){
		"one to five URIs are needed, and there are 0": func(c *Config) { c.URIs = nil },
		"one to five URIs are needed, and there are 6": func(c *Config) { c.URIs = make([]string, 6) },
		`URI "http://x" does not begin with ldap://`:   func(c *Config) { c.URIs = []string{"http://x"} },
		`URI "ldap://" names no host`:                  func(c *Config) { c.URIs = []string{"ldap://"} },
		`URI "ldap://x:0" has a port`:                  func(c *Config) { c.URIs = []string{"ldap://x:0"} },
		`URI "ldap://x/dc=y" has more than a host`:     func(c *Config) { c.URIs = []string{"ldap://x/dc=y"} },
		`URI "ldapi://" names no socket`:               func(c *Config) { c.URIs = []string{"ldapi://"} },
		`URI "ldap://x" stands there twice`:            func(c *Config) { c.URIs = []string{"ldap://x", "ldap://x"} },
		"StartTLS is on, and no URI":                   func(c *Config) { c.URIs, c.StartTLS = []string{"ldaps://x"}, true },
		"there is a bind DN and no password":           func(c *Config) { c.BindDN = "cn=a" },
		"there is a bind password and no bind DN":      func(c *Config) { c.BindPassword = "hush-hush" },
		`bind DN "a@b" is no distinguished name`:       func(c *Config) { c.BindDN, c.BindPassword = "a@b", "hush-hush" },
		"there is no base DN":                          func(c *Config) { c.Base = "" },
		`base DN "example" is no distinguished name`:   func(c *Config) { c.Base = "example" },
		`required group "staff" is no`:                 func(c *Config) { c.Groups.Required = "staff" },
		"a group is required, and no attribute":        func(c *Config) { c.Groups.Required, c.Attributes.Member, c.Attributes.MemberOf = "cn=g", "-", "-" },
		`domain "@x" is none`:                          func(c *Config) { c.Domain = "@x" },
		`"mail host" is no name of an attribute`:       func(c *Config) { c.Attributes.Host = "mail host" },
		"timeout -1s is not between":                   func(c *Config) { c.Timeout = -time.Second },
		"timeout 1h0m0s is not between":                func(c *Config) { c.Timeout = time.Hour },
		"MaxEntries is negative":                       func(c *Config) { c.MaxEntries = -1 },
		"there is no server type 7":                    func(c *Config) { c.Type = 7 },
		"there is no scope 3":                          func(c *Config) { c.Scope = 3 },
		"there is no way 2 to take several":            func(c *Config) { c.Several = 2 },
		"there is no way 2 to take referrals":          func(c *Config) { c.Referrals = 2 },
		"finds the same entries for every user":        func(c *Config) { c.Filter = "(objectClass=*)" },
		"has neither %e nor %u":                        func(c *Config) { c.Filter = "(dc=%d)" },
		"after % stands e, u, d or %":                  func(c *Config) { c.Filter = "(mail=%s)" },
		"unexpected end of filter":                     func(c *Config) { c.Filter = "(&(mail=%e)" },
		"extra at end":                                 func(c *Config) { c.Filter = "(mail=%e)(uid=%u)" },
		`"\\2a" is no attribute`:                       func(c *Config) { c.Filter = "(%u=x)" },
		`"ma il" is no attribute`:                      func(c *Config) { c.Filter = "(&(uid=%u)(!(ma il=%e)))" },
		`"a/b" is no attribute`:                        func(c *Config) { c.Groups.Filter = "(a/b=c)" },
	} {
		c := Config{URIs: []string{"ldap://directory.example.test"}, Base: base}
		spoil(&c)
		_, err := New(c)
		require.ErrorIs(t, err, ErrConfig, sentence)
		require.ErrorContains(t, err, sentence)
		require.NotContains(t, err.Error(), "hush")
		require.NotContains(t, err.Error(), "\n")
	}
}

func TestGoodConfigurationsAreTaken(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"least":            func(*Config) {},
		"Active Directory": func(c *Config) { c.Type, c.BindDN, c.BindPassword = ActiveDirectory, `EXAMPLE\mail`, "x" },
		"no parentheses":   func(c *Config) { c.Filter = "mail=%e" },
		"local part":       func(c *Config) { c.Filter = "(&(uid=%u)(|(o=%d)(!(o=*))))" },
		"extensible":       func(c *Config) { c.Filter = "(uid:caseExactMatch:=%u)" },
		"percent sign":     func(c *Config) { c.Filter = "(&(uid=%u)(cn=100%%))" },
		"all URIs": func(c *Config) {
			c.URIs = []string{"ldap://a", "ldaps://b:6360/", "ldap://[::1]:389", "ldapi:///run/ldapi", "ldapi://%2Frun%2Fslapd%2Fldapi"}
		},
	} {
		c := Config{URIs: []string{"ldap://directory.example.test"}, Base: base}
		change(&c)
		connector, err := New(c)
		require.NoError(t, err, name)
		require.Empty(t, connector.Config().BindPassword)
		require.NoError(t, connector.Close())
	}
}

func TestTheNameInACertificateIsTheURIs(t *testing.T) {
	for uri, want := range map[string]endpoint{
		"ldap://a":               {network: "tcp", address: "a:389", host: "a"},
		"ldaps://b.example.test": {network: "tcp", address: "b.example.test:636", host: "b.example.test", implied: true},
		"ldap://[::1]:3890/":     {network: "tcp", address: "[::1]:3890", host: "::1"},
		"ldapi://%2Frun%2Fldapi": {network: "unix", address: "/run/ldapi"},
		"ldapi:///run/ldapi":     {network: "unix", address: "/run/ldapi"},
	} {
		got, err := parseURI(uri)
		require.NoError(t, err)
		want.uri = uri
		require.Equal(t, want, got)
	}
}
