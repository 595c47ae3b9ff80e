package delivery

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"time"
)

// The conditions of the verdicts on TLS. Each is something else for the server's administrator to do.

func wrongHost(e ending) bool { return is[x509.HostnameError](e) }
func notValid(e ending) bool  { return is[*tls.CertificateVerificationError](e) }
func notTLS(e ending) bool    { return is[tls.RecordHeaderError](e) }
func noRoots(e ending) bool   { return is[x509.SystemRootsError](e) }

func unknownAuthority(e ending) bool { return is[x509.UnknownAuthorityError](e) }

// selfSigned knows a certificate that is its own authority.
func selfSigned(e ending) bool {
	chain := sent(e)
	return unknownAuthority(e) && len(chain) == 1 && bytes.Equal(chain[0].RawIssuer, chain[0].RawSubject)
}

// incomplete knows a server that sent its own certificate and not the one that issued it. The certificate does not tell
// whether its issuer is an intermediate, as with every public authority, or an authority that is not trusted.
func incomplete(e ending) bool {
	chain := sent(e)
	return unknownAuthority(e) && len(chain) == 1 && !selfSigned(e)
}

// sent returns the linked part of a refused chain: the server's own certificate, the one that issued it, and so on. A
// server may send others, in any order.
func sent(e ending) []*x509.Certificate {
	failed, ok := errors.AsType[*tls.CertificateVerificationError](e.err)
	if !ok || len(failed.UnverifiedCertificates) == 0 {
		return nil
	}
	chain := failed.UnverifiedCertificates[:1:1]
	for range failed.UnverifiedCertificates[1:] {
		last := chain[len(chain)-1]
		for _, next := range failed.UnverifiedCertificates[1:] {
			if bytes.Equal(last.RawIssuer, next.RawSubject) && !bytes.Equal(last.RawIssuer, last.RawSubject) {
				chain = append(chain, next)
				break
			}
		}
		if chain[len(chain)-1] == last {
			break
		}
	}
	return chain
}

func expired(e ending) bool {
	invalid, ok := errors.AsType[x509.CertificateInvalidError](e.err)
	return ok && invalid.Reason == x509.Expired
}

// notYetValid knows one of the two cases that crypto/x509 calls expired.
func notYetValid(e ending) bool {
	invalid, _ := errors.AsType[x509.CertificateInvalidError](e.err)
	return expired(e) && invalid.Cert != nil && time.Now().Before(invalid.Cert.NotBefore)
}

// expiredAuthority knows an expired certificate that is not the server's own.
func expiredAuthority(e ending) bool {
	invalid, _ := errors.AsType[x509.CertificateInvalidError](e.err)
	chain := sent(e)
	return expired(e) && invalid.Cert != nil && len(chain) > 0 && !chain[0].Equal(invalid.Cert)
}

func wrongUsage(e ending) bool {
	invalid, ok := errors.AsType[x509.CertificateInvalidError](e.err)
	return ok && invalid.Reason == x509.IncompatibleUsage
}

// alerted knows an alert that the server sent, any or one of these texts: crypto/tls gives it no type of its own.
func alerted(texts ...string) func(ending) bool {
	return func(e ending) bool {
		op, ok := errors.AsType[*net.OpError](e.err)
		return ok && op.Op == "remote error" && (len(texts) == 0 || says(e, texts...))
	}
}

// oldTLS knows both sides' way of saying that they share no version.
func oldTLS(e ending) bool {
	return alerted("protocol version not supported")(e) || says(e, "selected unsupported protocol version")
}
