//! Certificates for reflectors, good ones and bad ones.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

/// A certificate authority.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: PathBuf,
}

/// A certificate and its key, as files.
#[derive(Debug)]
pub struct Identity {
    certificate: PathBuf,
    key: PathBuf,
}

impl Authority {
    /// A new authority of this name. Writes its certificate into a folder.
    pub fn new(folder: &Path, name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let certificate = folder.join(format!("{name}-ca.pem"));
        let signed = params.self_signed(&key).expect("it signs");
        fs::write(&certificate, signed.pem()).expect("the folder is there");
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// Writes the identity of a server with this name. If `old`, it has expired.
    pub fn issue(&self, to: &Identity, name: &str, old: bool) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        if old {
            params.not_before = date_time_ymd(2001, 1, 1);
            params.not_after = date_time_ymd(2002, 1, 1);
        }
        let key = KeyPair::generate().expect("a key");
        let signed = params.signed_by(&key, &self.issuer).expect("it signs");
        fs::write(&to.certificate, signed.pem()).expect("the folder is there");
        fs::write(&to.key, key.serialize_pem()).expect("the folder is there");
    }

    /// The file that clients trust.
    pub fn path(&self) -> &str {
        self.certificate.to_str().expect("UTF-8")
    }
}

impl Identity {
    /// An identity whose files will be in a folder.
    pub fn new(folder: &Path) -> Self {
        Self { certificate: folder.join("server.pem"), key: folder.join("server.key") }
    }

    /// The file of the certificate.
    pub fn certificate(&self) -> &str {
        self.certificate.to_str().expect("UTF-8")
    }

    /// The file of the private key.
    pub fn key(&self) -> &str {
        self.key.to_str().expect("UTF-8")
    }
}
