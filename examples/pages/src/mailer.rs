//! The process that mails invitations: a consumer of the outbox, with the operators' login.

use std::env::var;

use tenancy::{
    InvitationMail, Tenancy, async_trait, danger,
    invitation::Invitation,
    outbox::{Event, EventHandler, HandlerError, OutboxConsumer},
    postgres::{PgOutbox, danger::SystemPool},
};

use crate::{
    mails::{Mail, Mails},
    setup,
};

struct Mailer {
    tenancy: Tenancy,
    mails: Mails,
}

#[async_trait]
impl EventHandler for Mailer {
    async fn handle(&self, event: &Event) -> Result<(), HandlerError> {
        let Some(invitation) = Invitation::to_mail(event) else {
            return Ok(());
        };
        let service = danger::service("mails of invitations")?;
        // The newest link; nothing if the invitation is over.
        match self.tenancy.invitations(service).mail(invitation).await? {
            Some(mail) => self.post(event, &mail).await,
            None => Ok(()),
        }
    }
}

impl Mailer {
    /// An event may come twice. Its id makes one mail of both.
    async fn post(&self, event: &Event, mail: &InvitationMail) -> Result<(), HandlerError> {
        let tenant = &mail.tenant().name;
        let mail = Mail {
            id: event.id.as_uuid(),
            to: &mail.invitation().email,
            subject: "An invitation",
            text: &format!("You are invited to {tenant} as {}.", mail.invitation().role),
            path: &format!("/invitations/{}", mail.token().expose()),
        };
        Ok(self.mails.post(&mail).await?)
    }
}

/// Mails until it is told to end.
pub async fn run(until: impl Future<Output = ()> + Send) -> setup::Result<()> {
    let system = SystemPool::connect(&var("SYSTEM_DATABASE_URL")?).await?;
    let mailer = Mailer {
        tenancy: setup::engine().await?,
        mails: setup::mails()?,
    };
    let outbox = PgOutbox::new(&system);
    let consumer = OutboxConsumer::builder("mails", outbox, mailer).build()?;
    consumer.run(until).await;
    Ok(())
}
