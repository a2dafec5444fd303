//! How long it takes to ask whether somebody may do something, among 1,000 rules of ten tenants, and to compile 1,000
//! roles: these roles beside `casbin` and `cedar-policy`.
//!
//! Each round measures all sides, one after the other, so that what else the machine does meets them alike. The medians
//! of the rounds are printed, and what each is to the first.

mod compiling;
mod others;
mod ours;
mod rules;
mod turns;

use std::{error::Error, hint::black_box};

use crate::{
    others::{Casbin, Cedar},
    ours::Ours,
    rules::{ALLOWED, Question, REFUSED},
    turns::{print, time},
};

const ROUNDS: usize = 21;

/// A way to ask one question: its name, how often it is called in a round, and the call.
type Side<'a> = (&'static str, usize, Box<dyn Fn() -> bool + 'a>);

struct World {
    ours: Ours,
    casbin: Casbin,
    cedar: Cedar,
}

impl World {
    /// All ways to ask a question, and that they give the right answer.
    fn sides(&self, asked: Question) -> Result<Vec<Side<'_>>, Box<dyn Error>> {
        let sides: Vec<Side<'_>> = vec![
            (
                "tenancy, the role's mask alone",
                1_000_000,
                Box::new(self.ours.by_mask(asked)),
            ),
            (
                "tenancy, a handler's `context.allows(id)`",
                1_000_000,
                Box::new(self.ours.by_id(asked)),
            ),
            (
                "tenancy, a handler's `context.require(\"…\")`",
                20_000,
                Box::new(self.ours.by_name(asked)),
            ),
            (
                "tenancy, a table by the name of a role",
                200_000,
                Box::new(self.ours.by_role(asked)),
            ),
            (
                "casbin, RBAC with domains",
                40,
                Box::new(self.casbin.ask(asked)),
            ),
            (
                "cedar-policy, its request and entities made before",
                40,
                Box::new(self.cedar.ask(asked)?),
            ),
        ];
        for (name, _, ask) in &sides {
            if ask() != asked.answer() {
                return Err(format!("{name} does not say {}: {asked:?}", asked.answer()).into());
            }
        }
        Ok(sides)
    }

    /// Asks all sides everything that can be asked.
    fn agree(&self) -> Result<(), Box<dyn Error>> {
        let (mut allowed, mut refused) = (0, 0);
        for asked in Question::all() {
            self.sides(asked)?;
            *if asked.answer() {
                &mut allowed
            } else {
                &mut refused
            } += 1;
        }
        println!(
            "all sides allow the same {allowed} and refuse the same {refused} of all questions"
        );
        Ok(())
    }

    fn compare(&self, called: &str, asked: Question) -> Result<(), Box<dyn Error>> {
        let sides = self.sides(asked)?;
        let mut times = vec![Vec::new(); sides.len()];
        for _ in 0..ROUNDS {
            for ((_, calls, ask), times) in sides.iter().zip(&mut times) {
                times.push(time(*calls, || {
                    black_box(ask());
                }));
            }
        }
        let names: Vec<_> = sides.iter().map(|(name, ..)| *name).collect();
        print(
            &format!("a check among 1,000 rules, {called}"),
            &names,
            times,
        );
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let world = runtime.block_on(async {
        Ok::<_, Box<dyn Error>>(World {
            ours: Ours::new().await?,
            casbin: Casbin::new().await?,
            cedar: Cedar::new()?,
        })
    })?;
    world.agree()?;
    world.compare("allowed", ALLOWED)?;
    world.compare("refused", REFUSED)?;
    compiling::compare(&runtime)
}
