package ldap

import (
	"context"
	"strings"

	ldap "github.com/go-ldap/ldap/v3"
)

// maxPassword bounds a password that is sent to a server, in octets.
const maxPassword = 4096

// Bind checks a user's password. ErrPassword, ErrDisabled, ErrUnavailable. An
// empty password is ErrPassword without asking, since a server may take it for
// a wish to be anonymous (RFC 4513 §5.1.2); so are an empty name, a password
// of more than 4,096 octets, and one with NUL, at which some servers think that
// it ends.
func (c *Connector) Bind(ctx context.Context, dn, password string) error {
	if strings.TrimSpace(dn) == "" || password == "" || len(password) > maxPassword || strings.IndexByte(password, 0) >= 0 {
		return ErrPassword
	}
	request := ldap.NewSimpleBindRequest(dn, password, []ldap.Control{ldap.NewControlBeheraPasswordPolicy()})
	var verdict error
	err := c.ask(ctx, &question{to: userBinds, what: "bind as ", about: dn, put: func(l *ldap.Conn) (err error) {
		res, err := l.SimpleBind(request)
		verdict, err = judge(res, err)
		return err
	}})
	if err != nil {
		return err
	}
	return verdict
}

// judge says what the answer to a user's bind means: a verdict on the
// password, or an error when it is none (RFC 4511 §4.2.2, RFC 4513 §5.1.3).
func judge(res *ldap.SimpleBindResult, err error) (verdict, failed error) {
	switch code(err) {
	case ldap.LDAPResultSuccess:
		if policy(res) != 0 {
			return ErrDisabled, nil
		}
		return nil, nil
	case ldap.LDAPResultInvalidCredentials:
		if policy(res) != 0 || adDisabled(err) {
			return ErrDisabled, nil
		}
		return ErrPassword, nil
	case ldap.LDAPResultInappropriateAuthentication, ldap.LDAPResultNoSuchObject:
		// There is no password to compare with, or no such user.
		return ErrPassword, nil
	case ldap.LDAPResultConstraintViolation:
		return ErrDisabled, nil // 389 Directory Server's word for too many wrong passwords
	case ldap.LDAPResultUnwillingToPerform:
		if strings.Contains(strings.ToLower(err.Error()), "account inactivated") {
			return ErrDisabled, nil // 389 Directory Server's words
		}
	}
	return nil, err
}

// policy returns what OpenLDAP's password policy has against a login
// (draft-behera-ldap-password-policy §6.2): the password has expired, the
// account is locked, or the password must be changed before anything else. 0:
// nothing.
func policy(res *ldap.SimpleBindResult) int {
	if res == nil {
		return 0
	}
	found, ok := ldap.FindControl(res.Controls, ldap.ControlTypeBeheraPasswordPolicy).(*ldap.ControlBeheraPasswordPolicy)
	if !ok || found.Error < 0 || found.Error > 2 {
		return 0
	}
	return int(found.Error) + 1
}

// adDisabled reports whether Active Directory refused a login for another
// reason than the password. It says so in the diagnostic message, "80090308:
// LdapErr: …, comment: AcceptSecurityContext error, data 533, v1db1", with a
// system error code in hexadecimal.
func adDisabled(err error) bool {
	_, data, ok := strings.Cut(err.Error(), "AcceptSecurityContext error, data ")
	if !ok {
		return false
	}
	number, _, _ := strings.Cut(data, ",")
	switch strings.TrimSpace(number) {
	case "530", // not at this time of day
		"531", // not from here
		"532", // password has expired
		"533", // disabled
		"701", // account has expired
		"773", // password must be changed
		"775": // locked
		return true
	}
	return false
}
