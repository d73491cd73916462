//! The API servers of clusters: what is asked of them and applied to them. `kube` is used here and nowhere else.
