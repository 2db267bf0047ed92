"""Certificates for test servers, made with the openssl command.

    ca = CA("/some/dir")                       # key and self-signed root
    pair = ca.issue("localhost")               # names "localhost", 127.0.0.1 and ::1
    bad = ca.issue("wrong", names=["DNS:elsewhere.example"])
    old = ca.issue("old", expired=True)
    own = self_signed("/some/dir", "own")

A pair has .cert and .key, both paths of PEM files.
"""

import os
import subprocess
import time
from collections import namedtuple

Pair = namedtuple("Pair", "cert key")
LOCAL = ("DNS:localhost", "IP:127.0.0.1", "IP:::1")


def _openssl(*args):
    done = subprocess.run(("openssl",) + args, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        raise RuntimeError("openssl %s: %s" % (args[0], done.stdout.decode(errors="replace")))
    return done.stdout.decode()


def _key(path):
    _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-out", path)
    os.chmod(path, 0o600)


def fingerprint(cert, digest="sha256"):
    """The digest of the certificate as lower-case hex without colons."""
    text = _openssl("x509", "-in", cert, "-noout", "-fingerprint", "-" + digest)
    return text.strip().split("=", 1)[1].replace(":", "").lower()


def self_signed(directory, stem, names=LOCAL):
    """A server certificate that signs itself: no CA vouches for it."""
    os.makedirs(directory, exist_ok=True)
    base = os.path.join(directory, stem)
    _key(base + ".key")
    _openssl("req", "-new", "-x509", "-key", base + ".key", "-out", base + ".pem",
             "-days", "30", "-subj", "/CN=" + stem,
             "-addext", "subjectAltName=" + ",".join(names))
    return Pair(base + ".pem", base + ".key")


class CA:
    """A certificate authority of its own; .cert is the file that clients must trust."""

    def __init__(self, directory, name="Test CA"):
        self.dir = os.path.abspath(directory)
        os.makedirs(self.dir, exist_ok=True)
        self.cert = os.path.join(self.dir, "ca.pem")
        self.key = os.path.join(self.dir, "ca.key")
        if os.path.exists(self.cert):
            return
        _key(self.key)
        _openssl("req", "-new", "-x509", "-key", self.key, "-out", self.cert, "-days", "30",
                 "-subj", "/CN=" + name, "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def issue(self, stem, names=LOCAL, expired=False, client=False):
        """A certificate for the names; one that ran out yesterday if expired."""
        base = os.path.join(self.dir, stem)
        now = time.time()
        first = now - (86400 * 10 if expired else 3600)
        last = now + (-86400 if expired else 86400 * 30)

        def stamp(t):
            return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(t))

        _key(base + ".key")
        _openssl("req", "-new", "-key", base + ".key", "-out", base + ".csr",
                 "-subj", "/CN=" + stem)
        with open(base + ".cnf", "w") as f:
            f.write("[ca]\ndefault_ca = it\n[it]\n"
                    "database = %s.db\nnew_certs_dir = %s\nrand_serial = yes\n"
                    "default_md = sha256\npolicy = any\nunique_subject = no\n"
                    "[any]\ncommonName = supplied\n"
                    "[ext]\nbasicConstraints = CA:FALSE\nextendedKeyUsage = %s\n"
                    "subjectKeyIdentifier = hash\nauthorityKeyIdentifier = keyid\n"
                    % (base, self.dir, "clientAuth" if client else "serverAuth"))
            if names:
                f.write("subjectAltName = %s\n" % ",".join(names))
        open(base + ".db", "w").close()
        _openssl("ca", "-batch", "-notext", "-config", base + ".cnf", "-extensions", "ext",
                 "-cert", self.cert, "-keyfile", self.key, "-in", base + ".csr",
                 "-out", base + ".pem", "-startdate", stamp(first), "-enddate", stamp(last))
        return Pair(base + ".pem", base + ".key")
