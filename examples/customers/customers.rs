//! The customers, and who sees what of them.

use serde::Serialize;

/// For anybody who is signed in.
#[derive(Clone, Serialize)]
pub struct Customer {
    pub id: u32,
    pub name: &'static str,
    pub email: &'static str,
}

/// For administrators.
#[derive(Serialize)]
pub struct CustomerDetail {
    #[serde(flatten)]
    pub customer: Customer,
    pub owes_cents: u32,
}

#[derive(Serialize)]
pub struct Results<T> {
    pub results: Vec<T>,
}

pub fn all() -> Vec<Customer> {
    details().into_iter().map(|detail| detail.customer).collect()
}

pub fn details() -> Vec<CustomerDetail> {
    [
        (1, "Grace Hopper", "grace@example.com", 0),
        (2, "Edsger Dijkstra", "edsger@example.com", 12_50),
        (3, "Barbara Liskov & Sons", "barbara@example.com", 99_00),
    ]
    .map(|(id, name, email, owes_cents)| CustomerDetail {
        customer: Customer { id, name, email },
        owes_cents,
    })
    .into()
}
